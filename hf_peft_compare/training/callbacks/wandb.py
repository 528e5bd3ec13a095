"""A run in Weights & Biases: its config, its loss curves, its final figures and its predictions."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import folder_of_study
from hf_peft_compare.training.callbacks.best_state import METRIC
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.wandb_run import is_disabled, open_run

ID_FILE = "run_id"
STEP = "train/global_step"
CURVES = ("loss", "learning_rate", "grad_norm", "epoch")
TEXTS = ("id", "source", "reference", "prediction")

logger = logging.getLogger(__name__)


class WandbSink(TrainerCallback):
    """Log one run to W&B; a failure of W&B does not affect the run.

    | key                                       | what is logged                                          |
    |-------------------------------------------|---------------------------------------------------------|
    | train/{loss,learning_rate,grad_norm,epoch}| the Trainer's log, against train/global_step            |
    | eval/loss                                 | validation loss, nats per token                         |
    | test/…, parameters/…, seconds/…, memory/… | the record's figures, in the run's summary              |
    | predictions                               | a table: id, source, reference, prediction, each score  |

    The run is offline unless the user is logged in to W&B; `wandb sync <folder>/wandb/offline-run-*` uploads it later.
    W&B's own environment variables and settings files may set mode and project.

    Args:
        config: the resolved run.
        folder: the run's folder; W&B's files go to `wandb` in it.
    """

    def __init__(self, *, config: RunConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.notes: list[str] = []
        self._run: Any = None
        self._logs = False

    def start(self) -> None:
        """Open the W&B run, on the main process only; an interrupted run continues under its id."""
        if is_disabled() or self._run is not None or not process_state().is_main_process:
            return
        with self._tolerating("starting"):
            self._run = self._open()
            self._run.define_metric("train/*", step_metric=STEP)
            self._run.define_metric("eval/*", step_metric=STEP)
            self._logs = True

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
            self._log(kept, state.global_step)

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
            self._log({"eval/loss": (metrics or {})[METRIC]}, state.global_step)

    def finish(self, record: RunRecord, predictions: Sequence[Mapping[str, object]]) -> None:
        """Write the final figures into the summary, and the predictions as a table."""
        if not self._logs:
            return
        with self._tolerating("writing the results"):
            self._run.summary.update(summarize(record))
            if predictions:
                self._run.log({"predictions": _table(predictions)})
            if record.finished:
                self._id_path.unlink(missing_ok=True)  # whatever follows is another run

    def close(self, exit_code: int = 0) -> None:
        """End the W&B run; safe to call at any time, and twice."""
        run, self._run, self._logs = self._run, None, False
        if run is not None:
            with self._tolerating("finishing"):
                run.finish(exit_code=exit_code)

    def _log(self, values: dict[str, float], step: int) -> None:
        if self._logs:
            with self._tolerating("logging"):
                self._run.log({**values, STEP: step})

    @contextmanager
    def _tolerating(self, doing: str) -> Iterator[None]:
        """Turn a failure of W&B into a note and stop logging, instead of ending the run."""
        try:
            yield
        except Exception as error:
            self._logs = False
            self._note(f"W&B failed while {doing}, so its log is incomplete ({type(error).__name__}: {error}).")

    def _note(self, note: str) -> None:
        self.notes.append(note)
        logger.warning(note)

    def _open(self) -> Any:
        return open_run(
            folder=self.folder,
            study_folder=folder_of_study(self.folder, trial=self.config.trial),
            note=self._note,
            group=self.config.study,
            name=self.config.run,
            job_type=self.config.method["name"],
            config=asdict(self.config),
            id=self._run_id(),
        )

    @property
    def _id_path(self) -> Path:
        return self.folder / "wandb" / ID_FILE

    def _run_id(self) -> str:
        """Return the id of this folder's unfinished run, or a new one if there is none or its config differs."""
        path = self._id_path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_text().startswith(self.config.hash):
            return path.read_text()
        run_id = f"{self.config.hash}-{secrets.token_hex(4)}"
        path.write_text(run_id)
        return run_id


def summarize(record: RunRecord) -> dict[str, float | str]:
    """Return a record's final figures under W&B's slashed names; unknown values are left out."""
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


def _table(predictions: Sequence[Mapping[str, Any]]) -> Any:
    import wandb

    scores = list(predictions[0]["scores"])
    rows = [[row[name] for name in TEXTS] + [row["scores"][name] for name in scores] for row in predictions]
    return wandb.Table(columns=[*TEXTS, *scores], data=rows)
