"""The state of a run in progress, and its measurements so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.records.parts import (
    Costs,
    HistoryEntry,
    Parameters,
    Provenance,
    ScoreDescription,
    TrunkCache,
    Validation,
)
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.run_folder import CHECKPOINTS_FOLDER, folder_of_study
from hf_peft_compare.records.tuning import Tuning
from hf_peft_compare.training.callbacks import Energy, MemoryBreakdown, PeakCudaMemory, WallClock
from hf_peft_compare.training.hidden_state_cache import TrunkStates


@dataclass
class Measurements:
    """The measurements of a run so far; fields with the same name as in the record become its fields.

    Args:
        generation_seconds: seconds of generating the answers to all test prompts.
        resident_peak_bytes: read before the costs were measured; None: the costs were not measured.
    """

    scores: dict[str, ScoreDescription] = field(default_factory=dict)
    parameters: Parameters | None = None
    initial_trainables_sha256: str | None = None
    final_trainables_sha256: str | None = None
    results: dict[str, float] = field(default_factory=dict)
    validation: Validation | None = None
    trunk_cache: TrunkCache | None = None
    costs: Costs | None = None
    history: list[HistoryEntry] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    num_train_tokens: int | None = None
    train_flops: float | None = None
    num_prompt_tokens: int | None = None
    num_generated_tokens: int | None = None
    generation_seconds: float | None = None
    resident_peak_bytes: int | None = None


@dataclass
class Run:
    """The state of a run in progress."""

    config: RunConfig
    origins: Mapping[str, str]
    folder: Path
    plan: RunPlan | None = None
    tuning: Tuning | None = None
    clock: WallClock = field(default_factory=WallClock)
    memory: PeakCudaMemory = field(default_factory=PeakCudaMemory)
    breakdown: MemoryBreakdown = field(default_factory=MemoryBreakdown)
    energy: Energy | None = field(init=False)
    notes: list[str] = field(default_factory=list)
    measured: Measurements = field(default_factory=Measurements)
    metrics: list[Metric] = field(default_factory=list)
    test_states: TrunkStates | None = None

    def __post_init__(self) -> None:
        """Measure energy if it is asked for; a trial's is no part of the row's."""
        self.energy = Energy() if self.config.tracking.energy and self.config.trial is None else None

    @property
    def study_folder(self) -> Path:
        """The folder of the study, whose caches its runs and trials share."""
        return folder_of_study(self.folder, trial=self.config.trial)

    @property
    def checkpoints(self) -> Path:
        """The folder of the Trainer's checkpoints and the best state until the run is finished."""
        return self.folder / CHECKPOINTS_FOLDER

    def note(self, *notes: str) -> None:
        """Add notes to the record, each once however often the model is built."""
        self.notes += [note for note in notes if note not in self.notes]
