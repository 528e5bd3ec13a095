"""A run in the trackers that its study names: its settings, its loss curves, its final figures and its predictions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.registry import TRACKERS
from hf_peft_compare.core.tracker import TrackedRun, TrackedTable
from hf_peft_compare.core.tracking import Trackers
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import folder_of_study
from hf_peft_compare.training.callbacks.best_state import METRIC
from hf_peft_compare.training.callbacks.reporting import Reporting
from hf_peft_compare.utils.distributed import process_state

CURVES = ("loss", "learning_rate", "grad_norm", "epoch")
TEXTS = ("id", "source", "reference", "prediction")

logger = logging.getLogger(__name__)


class Tracking(TrainerCallback):
    """Log one run, on the main process only; a failure of a tracker does not affect the run.

    | key                                       | what is logged                                          |
    |-------------------------------------------|---------------------------------------------------------|
    | train/{loss,learning_rate,grad_norm,epoch}| the Trainer's log, against its global step              |
    | eval/loss                                 | validation loss, nats per token                         |
    | test/…, parameters/…, seconds/…, memory/… | the record's figures                                    |
    | predictions                               | a table: id, source, reference, prediction, each score  |

    Args:
        config: the resolved run.
        folder: the run's folder.

    Attributes:
        notes: a sentence on each tracker that failed, for the run's record.
        reporting: passes the Trainer's events on to the trackers that transformers alone knows.
    """

    def __init__(self, *, config: RunConfig, folder: Path) -> None:
        self.notes: list[str] = []
        names = config.tracking.report_to if process_state().is_main_process else []
        run = TrackedRun(
            study=config.study,
            name=config.run,
            kind=config.method["name"],
            folder=folder,
            study_folder=folder_of_study(folder, trial=config.trial),
            note=self._note,
            key=config.hash,
            config=asdict(config),
        )
        self._trackers = Trackers(names, run)
        self.reporting = Reporting([name for name in names if name not in TRACKERS.entries], self._note)

    def start(self) -> None:
        """Open the run in its trackers; an interrupted run goes on."""
        self._trackers.start()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Log the training loss and the values logged with it."""
        if "loss" in (logs or {}):
            kept = {f"train/{name}": value for name, value in (logs or {}).items() if name in CURVES}
            self._trackers.log(kept, state.global_step)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Log the validation loss."""
        if METRIC in (metrics or {}):
            self._trackers.log({"eval/loss": (metrics or {})[METRIC]}, state.global_step)

    def finish(self, record: RunRecord, predictions: Sequence[Mapping[str, object]]) -> None:
        """Log the final figures, and the predictions as a table."""
        figures = summarize(record)
        self._trackers.finish(figures, {"predictions": _table(predictions)} if predictions else {})
        self.reporting.finish(figures)

    def close(self, *, failed: bool = False) -> None:
        """End the run in its trackers; safe to call at any time, and twice."""
        self._trackers.close(failed=failed)
        self.reporting.close()

    def _note(self, note: str) -> None:
        self.notes.append(note)
        logger.warning(note)


def summarize(record: RunRecord) -> dict[str, float | str]:
    """Return a record's final figures under slashed names; unknown values are left out."""
    parameters = record.parameters
    groups: dict[str, Mapping[str, float | None]] = {
        "test": record.results,
        "validation": asdict(record.validation) if record.validation else {},
        "parameters": {**asdict(parameters), "trainable_ratio": parameters.trainable_ratio} if parameters else {},
        "seconds": asdict(record.seconds),
        "memory": asdict(record.memory),
        "throughput": asdict(record.throughput),
    }
    figures = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    return {"status": record.status, **{name: value for name, value in figures.items() if value is not None}}


def _table(predictions: Sequence[Mapping[str, Any]]) -> TrackedTable:
    scores = list(predictions[0]["scores"])
    rows = [[row[name] for name in TEXTS] + [row["scores"][name] for name in scores] for row in predictions]
    return TrackedTable(columns=[*TEXTS, *scores], rows=rows)
