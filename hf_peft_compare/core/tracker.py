"""A tracker: a place outside the study's folder that runs are logged to, such as Weights & Biases or MLflow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import ClassVar, TypeAlias

PROJECT = "hf-peft-compare"  # of the trackers that have projects, unless the user has set another
Cell: TypeAlias = "str | float | None"


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker learns of a run when it starts.

    Args:
        study, name: the study's name, and the run's within it.
        kind: the name of the run's method; of the study's verdict: "verdict".
        folder, study_folder: where the run and its study are kept.
        note: what to call with a sentence for the run's record.
        key: hash of what determines the run's scores; empty: of a study's verdict, which is logged to one run however
            often the study is done.
        config: all settings of the run, nested.
    """

    study: str
    name: str
    kind: str
    folder: Path
    study_folder: Path
    note: Callable[[str], None]
    key: str = ""
    config: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_verdict(self) -> bool:
        """Whether this is what is concluded from the study's runs, and no run of its own."""
        return not self.key

    def interrupted_id(self, tracker: str) -> str | None:
        """Return the tracker's id of an interrupted attempt at the same run, to be gone on with; None: there is none.

        Args:
            tracker: the tracker's name.
        """
        path = self._id_path(tracker)
        kept = path.read_text() if path.is_file() else ""
        return kept.removeprefix(f"{self.key}-") if kept.startswith(f"{self.key}-") else None

    def keep_id(self, tracker: str, identity: str | None = None) -> str:
        """Keep the tracker's id of this run until the run is finished, and return it; None: make one."""
        identity = identity or token_hex(4)
        path = self._id_path(tracker)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.key}-{identity}")
        return identity

    def forget_id(self, tracker: str) -> None:
        """Forget the id of a finished run: whatever follows is another run."""
        path = self._id_path(tracker)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # the tracker keeps more in it
            path.parent.rmdir()

    def _id_path(self, tracker: str) -> Path:
        return self.folder / tracker / "run_id"


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """A scatter plot of two columns of a table: its name and title, and the columns of its axes."""

    name: str
    title: str
    x: str
    y: str


@dataclass(frozen=True, kw_only=True)
class TrackedTable:
    """A table to log.

    Args:
        columns, rows: the names of its columns, and a cell for each in every row.
        plots: drawn of it by trackers that can.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    plots: Sequence[Scatter] = ()


class Tracker(ABC):
    """Logs one run after the other. Subclasses in the files of `hf_peft_compare/trackers/` are registered by name.

    Each run is logged by a copy of its own, on the main process only: `start`, `log` while it trains, `finish` with
    what was measured, and `close` in any case. What these raise is noted, and nothing more is logged to the tracker;
    the run goes on.

    Attributes:
        name: the key used in studies.
        title: its name in messages.
        package: the module that it imports, which is looked for before a study starts.
        install: what a user installs for it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    package: ClassVar[str]
    install: ClassVar[str]

    def is_off(self) -> bool:
        """Return whether the user has turned it off by a setting of its own; it is not started then."""
        return False

    @abstractmethod
    def start(self, run: TrackedRun) -> None:
        """Open a run; an interrupted one goes on."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values at an optimizer step: train/{loss,learning_rate,grad_norm,epoch}, eval/loss in nats per label."""

    @abstractmethod
    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Log what a run ends with.

        Args:
            figures: its status ("finished" or "failed") and, as far as known, test/…, validation/…, parameters/…,
                seconds/…, memory/… and throughput/…; of a verdict: verdict/{text,best_row}.
            tables: its predictions; of a verdict: verdict/{comparison,pareto}.
        """

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the run; called once for each run that `start` was called for, also where `start` has failed."""
