"""The callbacks of trackers that transformers knows, kept from ending a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from hf_peft_compare.core.tracking import describe_failure
from hf_peft_compare.training.callbacks.best_state import METRIC

EVENTS = [name for name in vars(TrainerCallback) if name.startswith("on_")]
END = "on_train_end"


class Reporting(TrainerCallback):
    """Pass the Trainer's events on to the callbacks of transformers' integrations.

    They end their runs with the training. That event is held back until the test split is scored, so that the final
    figures are in the same run. Their validation loss is the one that other trackers log, in nats per label; the
    Trainer's own depends on padding. Rows that train nothing have no events, and are not logged.

    Args:
        names: of the integrations, as in `TrainingArguments.report_to`.
        note: called with a sentence on each one that fails; it gets no more events.
    """

    def __init__(self, names: Sequence[str], note: Callable[[str], None]) -> None:
        self._note = note
        self._callbacks: dict[str, TrainerCallback] = {}
        self._last: tuple[TrainingArguments, TrainerState, TrainerControl] | None = None
        for name in names:
            try:
                (kind,) = get_reporting_integration_callbacks([name])
                self._callbacks[name] = kind()
            except Exception as error:  # third-party code may raise anything
                note(describe_failure(name, "starting", error))

    def pass_on(self, event: str, *about: Any, **named: Any) -> None:
        """Call a method of every callback; one that raises is noted and dropped."""
        for name, callback in list(self._callbacks.items()):
            try:
                getattr(callback, event)(*about, **named)
            except Exception as error:  # third-party code may raise anything
                del self._callbacks[name]
                self._note(describe_failure(name, "logging", error))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Hold the event back, without the model, which may have to leave the memory before."""
        self._last = (args, state, control)

    def finish(self, figures: Mapping[str, str | float]) -> None:
        """Log the final figures as one more step, and let the integrations end."""
        if self._last is not None:
            numbers = {name.replace("/", "_"): value for name, value in figures.items() if not isinstance(value, str)}
            self.pass_on("on_log", *self._last, logs=numbers)
        self.close()

    def close(self) -> None:
        """Let the integrations end, if they have begun and not ended."""
        if self._last is not None:
            self.pass_on(END, *self._last)
            self._last = None


def _passing(event: str) -> Callable[..., None]:
    def on_event(
        self: Reporting, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if event == "on_train_begin":
            self._last = (args, state, control)
        logs: Any = kwargs.get("logs")
        if event == "on_log" and METRIC in (logs or {}):
            kwargs["logs"] = {**logs, "eval_loss": logs[METRIC]}
        self.pass_on(event, args, state, control, **kwargs)

    return on_event


for _event in EVENTS:
    if _event != END:
        setattr(Reporting, _event, _passing(_event))
