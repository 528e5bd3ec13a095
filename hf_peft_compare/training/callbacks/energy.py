"""Electric energy of training, by codecarbon: read from meters where the machine has them, estimated where not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.training.callbacks.phases import TRAIN, PhaseCallback
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.formatting import join_words

JOULES_PER_KWH = 3.6e6
PARTS = {"cpu": "CPU", "gpu": "GPU", "ram": "memory"}  # of codecarbon: words
METERED_DEVICES = ("GPU", "AppleSiliconChip", "Raspberry")
METERED_CPUS = ("intel_rapl", "windows_emi", "intel_power_gadget")


class Energy(PhaseCallback):
    """Measure the energy that the machine takes in optimizer steps, in joules, on the main process only.

    It stands before the clocks, so that what measuring takes is not training time. A failure does not affect the run.
    """

    def __init__(self) -> None:
        self.joules: dict[str, float] = {}
        self.estimated: list[str] = []
        self.problem = _several_machines()
        self._phase: str | None = None
        self._tracker: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Enter training; without the energy of the steps before an interruption, the whole is not known."""
        assert isinstance(state.stateful_callbacks, dict)  # of the states in checkpoints
        state.stateful_callbacks.setdefault(type(self).__name__, {})  # where a checkpoint lacks it, saving would fail
        if state.global_step and not self.joules:
            self.problem = self.problem or "it was not measured before the run was interrupted"
        super().on_train_begin(args, state, control, **kwargs)

    def enter(self, phase: str | None) -> None:
        """Add the energy of a phase of training that ends, and begin to measure one that starts."""
        self._phase = phase
        try:
            tracker, self._tracker = self._tracker, None
            if tracker is not None:
                self._add(tracker)
            if phase == TRAIN and self.problem is None and process_state().is_main_process:
                self._tracker = _make_tracker()()
                self._tracker.start()
        except Exception as error:  # third-party code may raise anything
            self.problem = f"codecarbon failed ({type(error).__name__}: {error})"

    def _add(self, tracker: Any) -> None:
        tracker.stop()
        metered = _metered_parts(tracker)
        for part in PARTS:
            if joules := JOULES_PER_KWH * getattr(tracker.final_emissions_data, f"{part}_energy"):
                self.joules[part] = self.joules.get(part, 0.0) + joules
                if part not in {*metered, *self.estimated}:
                    self.estimated.append(part)

    def results(self) -> dict[str, float]:
        """Return the energy, and the part of it that is estimated; nothing if it is not known."""
        self.enter(None)
        if self.problem or not self.joules:
            return {}
        return {
            "train_energy_joules": sum(self.joules.values()),
            "estimated_energy_joules": sum(joules for part, joules in self.joules.items() if part in self.estimated),
        }

    def note(self) -> str:
        """Return a sentence on where the energy comes from, or on why it is not known."""
        if self.problem or not self.joules:
            return f"Energy is not known: {self.problem or 'codecarbon found none'}."
        metered = [words for part, words in PARTS.items() if part in self.joules and part not in self.estimated]
        estimated = [words for part, words in PARTS.items() if part in self.estimated]
        sources = [(metered, "measured by meters"), (estimated, "estimated by codecarbon")]
        return f"Energy: {'; '.join(f'{join_words(parts)} {source}' for parts, source in sources if parts)}."

    def state(self) -> dict[str, Any]:
        """Return the state that checkpoints save: the energy so far."""
        self.enter(self._phase)
        kept = {"joules": dict(self.joules), "estimated": list(self.estimated), "problem": self.problem}
        return {"args": {}, "attributes": kept}


def _several_machines() -> str | None:
    number = process_state().num_processes
    here = int(os.environ.get("LOCAL_WORLD_SIZE", number))
    return "the run was spread over several machines" if here < number else None


@cache
def _make_tracker() -> Callable[[], Any]:
    """Return what makes a tracker that writes, sends and prints nothing, after one that has looked at the machine.

    The first of a process takes seconds, all others milliseconds.
    """
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it speaks before it reads its own setting
    make = partial(
        OfflineEmissionsTracker,
        allow_multiple_runs=True,
        emissions_endpoint=None,
        force_carbon_intensity_g_co2e_kwh=0.0,  # so that it looks up no country's
        log_level="critical",
        output_methods=[],
        tracking_mode="machine",
    )
    first = make()
    first.start()
    first.stop()
    return make


def _metered_parts(tracker: Any) -> set[str]:
    """Return the parts that a tracker reads a meter of; it has no public word on it."""
    return {
        getattr(device, "chip_part", kind).lower()
        for device in tracker._hardware
        if (kind := type(device).__name__) in METERED_DEVICES or getattr(device, "_mode", None) in METERED_CPUS
    }
