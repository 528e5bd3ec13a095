"""How near to the best the settings are that tuning finds, by the number of trials that are proposed at a time.

python tests/tuning_simulation.py 24     # starts of every setting, forty minutes

A function of the settings, with noise, stands in for training. "bowl": the loss rises on both sides of the best rate.
"cliff": it leaps a third of an order of magnitude above it, as LoRA's does. With two settings, the loss depends on the
rank of LoRA too, and the best rate does not.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, median

from trial_records import write_trial

from hf_peft_compare.api import make_study
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.tuning import LEARNING_RATE, tuned_jobs

LOWEST, NOISE = 0.6, 0.003  # losses
MARGIN = 0.2  # orders of magnitude from the best rate to an end of the range, at least


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A tuning: the shape of the loss, the settings tuned, the trials, and how many are proposed at a time."""

    shape: str
    with_rank: bool
    num_trials: int
    parallel: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a tuning has found: orders of magnitude from the best rate, and the share by which its loss is higher."""

    distance: float
    excess: float


def simulate(setting: Setting, *, seed: int) -> Found:
    """Tune once, with a best rate drawn from the seed."""
    method = "lora" if setting.with_rank else "full"
    rates, draw = get_method(method).tunables[LEARNING_RATE], random.Random(seed)
    best = draw.uniform(math.log10(rates.low) + MARGIN, math.log10(rates.high) - MARGIN)
    loss = _loss(setting, best)
    tune = {"budget": f"{setting.num_trials} trials", "parallel_trials": setting.parallel, "seed": 10_000 + seed}
    parameters = {"lora": {"r": [4, 16, 64]}} if setting.with_rank else {}
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(
            "embedded",
            "embedded",
            "summarization",
            {method: {"lora_alpha": 32} if setting.with_rank else {}},
            seeds=1,
            tune={**tune, "parameters": parameters},
            output_dir=Path(folder) / "tuning",
        )

        def run(jobs, check):
            for job in jobs:
                write_trial(job, loss(job.config) + draw.gauss(0, NOISE), seconds=30.0)

        (job,) = tuned_jobs(study, jobs_of(study, output_dir=Path(folder)), run)
    rate = math.log10(job.config.training.learning_rate)
    return Found(distance=abs(rate - best), excess=loss(job.config) / LOWEST - 1)


def _loss(setting: Setting, best: float) -> Callable[[RunConfig], float]:
    def loss(config: RunConfig) -> float:
        above = math.log10(config.training.learning_rate) - best
        leap = min(4 * max(above - 0.3, 0), 1.5) if setting.shape == "cliff" else 0.0
        rank = 0.01 * abs(math.log(config.method["r"] / 16, 4)) if setting.with_rank else 0.0
        return LOWEST + 0.05 * above**2 + leap + rank

    return loss


def main(num_starts: int) -> None:
    """Print a line for each setting."""
    for with_rank, shape, num_trials, parallel in product((False, True), ("bowl", "cliff"), (8, 16), (1, 2, 4, 8)):
        setting = Setting(shape=shape, with_rank=with_rank, num_trials=num_trials, parallel=parallel)
        found = [simulate(setting, seed=seed) for seed in range(num_starts)]
        distances, excesses = sorted(one.distance for one in found), sorted(one.excess for one in found)
        nine_tenths = int(0.9 * num_starts)
        print(
            f"{shape:5} {'rate, rank' if with_rank else 'rate':10} {num_trials:2} trials, {parallel} at a time: "
            f"orders of magnitude {median(distances):.2f} ({distances[nine_tenths]:.2f} in a tenth), "
            f"loss {mean(excesses):.1%} ({excesses[nine_tenths]:.1%})",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
