"""Log a run to all trackers that are named: one that fails is left alone, and the others and the run go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from copy import copy
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import TRACKERS
from hf_peft_compare.core.tracker import TrackedRun, TrackedTable, Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of transformers' integrations, the one that measures energy: into a folder that goes with the checkpoints.
NO_TRACKER = "codecarbon"


class Trackers:
    """The trackers of one run, which behave as one that never fails.

    Args:
        names: of the trackers; those that are not of this package or a plugin are left out.
        run: what they log; its `note` is called with a sentence on each one that fails.
    """

    def __init__(self, names: Iterable[str], run: TrackedRun) -> None:
        known = TRACKERS.entries
        self._run = run
        self._trackers = [copy(known[name]) for name in names if name in known]
        self._started: list[Tracker] = []
        self._logging: list[Tracker] = []

    @property
    def is_logging(self) -> bool:
        """Whether a tracker was started and has not failed."""
        return bool(self._logging)

    def start(self) -> None:
        """Open the run in each tracker that the user has not turned off."""
        for tracker in self._trackers:
            if not tracker.is_off():
                self._started.append(tracker)
                self._logging.append(tracker)
                with self._tolerating(tracker, "starting"):
                    tracker.start(self._run)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values of an optimizer step."""
        for tracker in list(self._logging):
            with self._tolerating(tracker, "logging"):
                tracker.log(values, step)

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Log what the run ends with; whatever follows a finished run is another run."""
        for tracker in list(self._logging):
            with self._tolerating(tracker, "writing the results"):
                tracker.finish(figures, tables)
                if figures.get("status") == "finished":
                    self._run.forget_id(tracker.name)

    def close(self, *, failed: bool = False) -> None:
        """End the run in each tracker; safe to call at any time, and twice."""
        started, self._started, self._logging = self._started, [], []
        for tracker in started:
            with self._tolerating(tracker, "finishing"):
                tracker.close(failed=failed)

    @contextmanager
    def _tolerating(self, tracker: Tracker, doing: str) -> Iterator[None]:
        """Turn a failure of a tracker into a note, and log nothing more to it."""
        try:
            yield
        except Exception as error:  # third-party code may raise anything
            if tracker in self._logging:
                self._logging.remove(tracker)
            self._run.note(describe_failure(tracker.title, doing, error))


def describe_failure(title: str, doing: str, error: Exception) -> str:
    """Return the note on a tracker that failed."""
    return f"{title} failed while {doing}, so its log is incomplete ({type(error).__name__}: {error})."


def check_trackers(names: Iterable[str]) -> None:
    """Raise UserError for a tracker that is unknown, or whose library is not installed."""
    known = TRACKERS.entries
    for name in names:
        if name not in known:
            _check_integration(name)
        elif find_spec(known[name].package) is None:
            raise UserError(
                f"tracking.report_to names {name}, which is not installed. Run `pip install {known[name].install}`, or "
                f"set it to some of those that are: {_listed(_installed())}; [] logs to none."
            )


def check_energy(wanted: bool, *, max_parallel: int | str | None = None) -> None:
    """Raise UserError if energy is to be measured without codecarbon, or with several runs on the machine."""
    if wanted and find_spec("codecarbon") is None:
        raise UserError(
            "tracking.energy needs codecarbon, which is not installed. Run `pip install 'hf_peft_compare[energy]'`, or "
            "set it to false."
        )
    if wanted and max_parallel not in (None, 1):
        raise UserError(
            f"tracking.energy counts all that a machine takes, but --max-parallel is {max_parallel}; set it to 1, or "
            f"tracking.energy to false."
        )


def _check_integration(name: str) -> None:
    """Check a tracker that transformers alone knows."""
    from transformers.integrations import integration_utils as integrations

    available: list[str] = integrations.get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    installed = _listed({*_installed(), *available} - {NO_TRACKER})
    known = {*TRACKERS.entries, *integrations.INTEGRATION_TO_CALLBACK} - {NO_TRACKER}
    if name not in known:
        raise UserError(
            f"{unknown('tracker', name, known)} Installed: {installed}. Set tracking.report_to; a tracker of your own "
            f"needs --plugin MODULE."
        )
    if name not in available:
        raise UserError(
            f"tracking.report_to names {name}, which transformers finds not installed, or not configured. Install its "
            f"package as its own pages say, or set it to some of those that are: {installed}; [] logs to none."
        )


def _installed() -> list[str]:
    return [name for name, tracker in TRACKERS.entries.items() if find_spec(tracker.package) is not None]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
