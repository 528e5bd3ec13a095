"""The result of a study, read from its folder; reading needs no torch, predicting and exporting do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.comparison import Comparison
from hf_peft_compare.comparison.columns import PARAMETERS, memory_column, ranking_column
from hf_peft_compare.comparison.console import render_table
from hf_peft_compare.comparison.example_scores import Predictions
from hf_peft_compare.comparison.recommendation import Budget, Choice, choose, describe_choice, parse_size
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.config.schema import StudyConfig
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.records.record import RunRecord, read_runs
from hf_peft_compare.records.remote_runs import upload_folder
from hf_peft_compare.records.run_folder import STUDY_FILE
from hf_peft_compare.report.writing import gather, write_report
from hf_peft_compare.results import frames
from hf_peft_compare.results.method_result import MethodResult
from hf_peft_compare.results.notebook import render_html
from hf_peft_compare.results.studies import study_in
from hf_peft_compare.utils.reading import read_text

if TYPE_CHECKING:
    from pandas import DataFrame
    from typing_extensions import Unpack

    from hf_peft_compare.publishing.publish import Publication
    from hf_peft_compare.publishing.repositories import PublishKeywords
    from hf_peft_compare.report.blocks import Material
    from hf_peft_compare.results.charts import Plot

REPORT_FOLDER = "report"  # in a study's folder, beside its runs


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The method to take under a budget, and why.

    Args:
        row: its name; None: nothing fits.
        sentences: the evidence; where nothing fits, what is nearest.
    """

    row: str | None
    sentences: tuple[str, ...]
    choice: Choice = field(repr=False)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    __repr__ = __str__


@dataclass(frozen=True, kw_only=True, repr=False)
class Result(Mapping[str, MethodResult]):
    """A study's result: `result["lora"]` is one of its rows; in a notebook it shows verdict, table and Pareto plot.

    Args:
        folder: the study's folder.
        outcomes: {run: "finished", "failed" or "skipped"} of the call that made it; empty where it was loaded.
        trusts_remote_code: whether the models of its runs, once loaded, may run code of their own.
    """

    folder: Path
    study: StudyConfig
    records: Mapping[str, RunRecord]
    predictions: Mapping[str, Predictions]
    outcomes: Mapping[str, str] = field(default_factory=dict)
    trusts_remote_code: bool = False

    @classmethod
    def read(
        cls, folder: Path, *, study: StudyConfig | None = None, outcomes: Mapping[str, str] | None = None
    ) -> Result:
        """Read a study's folder.

        Args:
            study: None: that of the folder's study.yaml, or what its records are of.

        Raises:
            UserError: no records there, or one that cannot be read.
        """
        records, predictions = read_runs(folder)
        study = study or study_in(folder, records)
        return cls(folder=folder, study=study, records=records, predictions=predictions, outcomes=outcomes or {})

    @cached_property
    def comparison(self) -> Comparison:
        """Every row beside the others, with intervals and tests."""
        return self._material.comparison

    @cached_property
    def _material(self) -> Material:
        return gather(self.study, self.records, self.predictions)

    @property
    def verdict(self) -> list[str]:
        """The verdict as sentences, the most important first."""
        return describe_verdict(self.comparison)

    @property
    def study_text(self) -> str:
        """The text of the study's file in its folder; empty if there is none."""
        file = self.folder / STUDY_FILE
        return read_text(file) if file.is_file() else ""

    @property
    def failures(self) -> dict[str, str]:
        """{run: its error} of the runs that failed."""
        return {run.run: run.error or "" for run in self.comparison.runs if run.status == "failed"}

    def frame(self) -> DataFrame:
        """Return one line per row: means over seeds in raw units, scores with the bounds of their intervals."""
        return frames.rows_frame(self.comparison)

    def runs_frame(self) -> DataFrame:
        """Return one line per run, with every figure of its record in raw units."""
        return frames.runs_frame(self.comparison)

    def examples_frame(self) -> DataFrame:
        """Return one line per run and test example: prediction, reference and scores."""
        return frames.examples_frame(self.comparison, self.predictions)

    def differences(self) -> DataFrame:
        """Return one line per pair of rows: the difference of the ranking score, its interval and its tests."""
        return frames.differences_frame(self.comparison)

    def plot(self, up: str = "quality", across: str = "parameters") -> Plot:
        """Draw every row between two figures, with the Pareto front.

        Args:
            up, across: "quality" (the score that ranks), "peak_memory", "parameters", "train_time", "checkpoint",
                "latency", or a column of `frame()`.

        Raises:
            UserError: nothing has finished yet, or an unknown figure.
        """
        from hf_peft_compare.results.charts import draw_scatter

        return draw_scatter(self._material, up, across, memory_key=memory_column(self.comparison).key)

    def choose(
        self,
        *,
        max_memory: str | None = None,
        max_minutes: float | None = None,
        max_checkpoint: str | None = None,
        max_latency: float | None = None,
        min_quality: float | None = None,
        mergeable: bool = False,
        within: float | None = None,
    ) -> Recommendation:
        """Recommend a method under a budget.

        Args:
            max_memory: e.g. "8GiB": GPU memory of training, else the process's.
            max_minutes: of training.
            max_checkpoint: e.g. "20MB": of the files that keep what was tuned.
            max_latency: seconds of one call for one example.
            min_quality: of the score that ranks; of a loss the most that will do.
            mergeable: only what can become a plain transformers model.
            within: take the cheapest row whose mean is within this distance of the best one's.

        Raises:
            UserError: a size without a unit, or no finished run.
        """
        budget = Budget(
            max_memory_bytes=None if max_memory is None else parse_size(max_memory),
            max_minutes=max_minutes,
            max_checkpoint_bytes=None if max_checkpoint is None else parse_size(max_checkpoint),
            max_latency_seconds=max_latency,
            min_quality=min_quality,
            mergeable=mergeable,
            within=within,
        )
        choice = choose(self.comparison, budget)
        return Recommendation(
            row=choice.row.row if choice.row else None, sentences=tuple(describe_choice(choice)), choice=choice
        )

    def report(self, to: str | Path | None = None) -> Path:
        """Write the report and return the path of its index.html.

        Args:
            to: the report's folder; None: `report` beside the runs.
        """
        folder = Path(to or self.folder / REPORT_FOLDER)
        page = write_report(self.study, self.records, self.predictions, folder, study_file=self.study_text)
        upload_folder(folder)
        return page

    def publish(
        self,
        to: str,
        *,
        rows: Sequence[str] = (),
        dry_run: str | Path | None = None,
        **options: Unpack[PublishKeywords],
    ) -> Publication:
        """Publish the study on the Hub: a repository of its records, a page, models of some rows, a collection.

        Args:
            to: the repository "NAMESPACE/NAME" of the records and the page; those of models are NAME-ROW.
            rows: the rows whose models are published, each of the seed with the lowest validation loss.
            dry_run: write what would be published into this folder, and upload nothing.
            options: see `PublishOptions`.

        Raises:
            UserError: something cannot be published, should stay private, or has a name that is taken.
            RunFailed: not all of it could be uploaded; the next call goes on.
        """
        from hf_peft_compare.publishing.publish import publish
        from hf_peft_compare.publishing.repositories import PublishOptions

        folder = None if dry_run is None else Path(dry_run)
        return publish(self, PublishOptions(to=to, rows=list(rows), **options), dry_run=folder)

    def __getitem__(self, row: str) -> MethodResult:
        found = self.comparison.row(row)
        if found is None:
            raise unknown(f"method of study {self.study.name}", str(row), self)
        return MethodResult(
            folder=self.folder,
            row=found,
            ranking=self.comparison.ranking_score,
            trusts_remote_code=self.trusts_remote_code,
        )

    def __contains__(self, row: object) -> bool:
        return row in list(self)

    def __iter__(self) -> Iterator[str]:
        return (row.row for row in self.comparison.rows)

    def __len__(self) -> int:
        return len(self.comparison.rows)

    def __repr__(self) -> str:
        return f"{render_table(self.comparison)}\n{self.folder}"

    def _repr_html_(self) -> str:
        return render_html(self.comparison, self._pareto())

    def _pareto(self) -> str | None:
        """Return the SVG of the Pareto plot; None where there is nothing to draw."""
        if self.comparison.ranking_score is None:
            return None
        quality = ranking_column(self.comparison).key
        trained = any(row.figures.get(PARAMETERS.key) for row in self.comparison.finished_rows)
        try:
            return self.plot(quality, PARAMETERS.key).svg if trained else None
        except UserError:  # no row has the figure
            return None
