"""The overhead of `train` over the bare Trainer: callbacks, clocks, progress, order of examples, logging."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModelForCausalLM

from benchmarks import ours, recipes
from benchmarks.table import Benchmark, Row, compare_seconds, losses_of, same_losses
from benchmarks.turns import TakeTurns, Turns, interleave
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.study import Study
from hf_peft_compare.data import splits as data
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.data.position_ids import positions_from_mask
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.training import run as training

AIM = 0.95  # the overhead is at most 5 %


@dataclass(frozen=True, kw_only=True)
class Size:
    """Turns of each side, including one warm-up, and optimizer steps per turn."""

    repetitions: int = 22
    steps: int = 80


QUICK = Size(repetitions=2, steps=2)


def run(quick: bool) -> list[Row]:
    """Compare a run of the quickstart's LoRA with the same steps of the stock Trainer."""
    size = QUICK if quick else Size()
    with tempfile.TemporaryDirectory() as folder:
        sides = interleave(
            {
                "ours": partial(our_run, size, folder),
                "plain": partial(bare_trainer, size, folder),
            },
            repetitions=size.repetitions,
        )
    seconds = sides["ours"].seconds, sides["plain"].seconds
    # Rounding errors grow from step to step, so only the first loss of ten steps can be the same.
    first = [[{"losses": losses_of(sides[name].results)[:1]}] for name in ("ours", "plain")]
    note = (
        f"{size.repetitions} turns, {sum(seconds[0]):.0f} s and {sum(seconds[1]):.0f} s; "
        f"{same_losses('the first steps', *first)}"
    )
    return [compare_seconds(f"{size.steps} steps of the quickstart's LoRA", *seconds, aim=AIM, note=note)]


def our_run(size: Size, folder: str, turns: Turns) -> None:
    """Execute a run like `train`, with turns in its trainer; they end before the epoch, so nothing is evaluated."""
    os.environ["WANDB_MODE"] = "disabled"
    config, origins = _study(size).resolve(row="lora", seed=0)
    make_trainer = training.make_trainer

    def with_turns(*args: Any, **kwargs: Any) -> Any:
        trainer = make_trainer(*args, **kwargs)
        trainer.add_callback(TakeTurns(turns, steps=size.steps))
        return trainer

    training.make_trainer = with_turns
    training.train_run(config, origins, folder=Path(folder) / config.run)


def bare_trainer(size: Size, folder: str, turns: Turns) -> None:
    """Train on the same batches with stock model, peft and Trainer; the stock model needs explicit positions."""
    config, _ = _study(size).resolve(row="lora", seed=0)
    tokenizer = load_tokenizer(config)
    rows = tokenize_splits(config, data.load_examples(config), tokenizer).splits["train"]
    collate = CompletionCollator(pad_token_id=tokenizer.pad_token_id)

    def with_positions(features: Any) -> dict[str, Any]:
        batch = collate(features)
        return batch | {"position_ids": positions_from_mask(batch["attention_mask"], batch["input_ids"].shape[1])}

    transformers.set_seed(config.seed)
    model = recipes.adapt(AutoModelForCausalLM.from_pretrained(BASE_FOLDER), config)
    recipes.make_trainer(
        model,
        ours.in_our_order(config, rows),
        data_collator=with_positions,
        callbacks=[TakeTurns(turns, steps=size.steps)],
        warmup_steps=config.training.warmup_ratio,
        **recipes.arguments_of(config, folder),
    ).train()


def _study(size: Size) -> Study:
    """Return the quickstart with more stories than all turns need."""
    num_steps = (size.repetitions + 2) * size.steps
    return load_study(
        "quickstart",
        [
            f"num_train_samples={8 * num_steps}",
            "training.num_train_epochs=1",
            f"training.logging_steps={min(size.steps, 10)}",
        ],
    )


BENCHMARK = Benchmark(
    name="steady_state",
    title="Overhead of a run",
    about=(
        "The quickstart's base with LoRA, batches of 8 stories. Ours: `train`. Plain recipe: the stock Trainer on the "
        "same batches. Imports, loading, evaluation and checkpoints are not measured."
    ),
    run=run,
)
