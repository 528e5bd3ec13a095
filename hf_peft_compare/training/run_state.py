"""The state of a run on its way to a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.records.run_folder import (
    CHECKPOINTS_FOLDER,
    folder_of_study,
)
from hf_peft_compare.training.callbacks import (
    MemoryBreakdown,
    PeakCudaMemory,
    WallClock,
)
from hf_peft_compare.training.hidden_state_cache import TrunkStates


@dataclass
class Run:
    """The state of a run on its way to a record."""

    config: RunConfig
    origins: Mapping[str, str]
    folder: Path
    plan: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] | None = None
    clock: WallClock = field(default_factory=WallClock)
    memory: PeakCudaMemory = field(default_factory=PeakCudaMemory)
    breakdown: MemoryBreakdown = field(default_factory=MemoryBreakdown)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    test_states: TrunkStates | None = None

    @property
    def study_folder(self) -> Path:
        """The folder of the study, whose caches its runs and trials share."""
        return folder_of_study(self.folder, trial=self.config.trial)

    @property
    def checkpoints(self) -> Path:
        """Where the Trainer's checkpoints and the best state stand until the run is finished."""
        return self.folder / CHECKPOINTS_FOLDER

    def note(self, *notes: str) -> None:
        """Add notes to the record, each once however often the model is built."""
        self.notes += [note for note in notes if note not in self.notes]
