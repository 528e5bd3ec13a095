"""Trackio: a local database, or a Space or server if the user has set one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from hf_peft_compare.core.tracker import TrackedRun, TrackedTable, Tracker


class TrackioTracker(Tracker):
    """Log a run to the Trackio project of its study, with its method as its group; `trackio show` opens it.

    The database is in Trackio's own folder, which TRACKIO_DIR names; TRACKIO_SPACE_ID and TRACKIO_SERVER_URL send runs
    to a Space or a server. Figures are logged at the last step.
    """

    name = "trackio"
    title = "Trackio"
    package = "trackio"
    install = "'hf_peft_compare[trackio]'"

    def __init__(self) -> None:
        self._run: Any = None
        self._step = 0

    def start(self, run: TrackedRun) -> None:
        """Open the run; an interrupted run goes on, as does a study's verdict."""
        import trackio

        goes_on = run.is_verdict or run.interrupted_id(self.name) is not None
        with redirect_stdout(StringIO()):  # it prints where its dashboard is
            self._run = trackio.init(
                project=run.study,
                name=run.name,
                group=run.kind,
                config=dict(run.config),
                resume="allow" if goes_on else "never",
                embed=False,
            )
        if not run.is_verdict:
            run.keep_id(self.name)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values at a step."""
        self._step = step
        self._run.log(dict(values), step=step)

    def finish(self, figures: Mapping[str, str | float], tables: Mapping[str, TrackedTable]) -> None:
        """Log figures and tables."""
        import trackio

        made = {
            name: trackio.Table(columns=list(t.columns), data=[list(row) for row in t.rows])
            for name, t in tables.items()
        }
        self._run.log({**figures, **made}, step=self._step)

    def close(self, *, failed: bool) -> None:
        """End the run, once its values are written."""
        if self._run is not None:
            import trackio

            with redirect_stdout(StringIO()):
                trackio.finish()
