"""Build the comparison of a study from its records and per-example scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_peft_compare.comparison.example_scores import LOSS, ExampleScores, Predictions, collect_scores
from hf_peft_compare.comparison.intervals import Interval, describe_scope, mean_interval
from hf_peft_compare.comparison.pairwise import PairedDifference, compare_pairs
from hf_peft_compare.comparison.protocol_differences import describe_disagreements
from hf_peft_compare.comparison.rows import FAILED, FINISHED, MISSING, PARTIAL, MethodRow, RunRow, figures_of
from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

TEST_LOSS = ScoreDescription(title="Test loss", unit="nats per token", greater_is_better=False)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows of a study, in the study's order.

    Args:
        scores: {score name: its description}, the ranking score first.
        ranking_score: the score that rows are ranked by; None while no run has finished.
        best_row, best_floor: rows with the best mean of the ranking score, among all and among the floors.
        pairs: all pairs of rows that have scores, in the study's order.
        disagreements: sentences on settings that runs should share but do not, e.g. their test data.
    """

    scores: dict[str, ScoreDescription]
    ranking_score: str | None
    rows: tuple[MethodRow, ...]
    best_row: str | None
    best_floor: str | None
    pairs: tuple[PairedDifference, ...] = ()
    disagreements: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """Every run of every row."""
        return tuple(run for row in self.rows for run in row.runs)

    @property
    def finished_rows(self) -> tuple[MethodRow, ...]:
        """The rows with at least one finished run."""
        return tuple(row for row in self.rows if row.finished_runs)

    @property
    def several_seeds(self) -> bool:
        """Whether some row has more than one finished seed."""
        return any(len(row.finished_runs) > 1 for row in self.rows)

    def row(self, name: str | None) -> MethodRow | None:
        """Return a row by its name, or None if there is no such row."""
        return next((row for row in self.rows if row.row == name), None)

    def pair(self, row: str | None, other: str | None) -> PairedDifference | None:
        """Return the difference between a row and another, or None if they were not compared."""
        for pair in self.pairs:
            if (pair.row, pair.other) == (row, other):
                return pair
            if (pair.other, pair.row) == (row, other):
                return pair.reversed()
        return None

    def best(self, figure: str, *, greater_is_better: bool, rows: Iterable[MethodRow] | None = None) -> str | None:
        """Return the name of the row with the best mean of a figure (the first of ties), or None if no row has it."""
        candidates = self.rows if rows is None else rows
        values = {
            row.row: row.figures[figure] for row in candidates if math.isfinite(row.figures.get(figure, math.nan))
        }
        return (max if greater_is_better else min)(values, key=lambda name: values[name], default=None)


def compare(
    records: Mapping[str, RunRecord],
    predictions: Mapping[str, Predictions],
    *,
    expected_runs: Sequence[tuple[str, int]],
) -> Comparison:
    """Compare the runs of a study.

    Args:
        records, predictions: by run name; a run without predictions has no intervals.
        expected_runs: (row, seed) of all runs of the study in its order; a run without a record is marked missing.
    """
    records = _by_unit(records)
    runs = _collect_runs(records, predictions, expected_runs)
    labels = _label_rows(runs)
    scores = _collect_scores(records.values())
    ranking = next(iter(scores), None)
    rows = tuple(_make_row(labels[row], members, predictions, scores) for row, members in runs.items())
    bare = Comparison(
        scores=scores,
        ranking_score=ranking,
        rows=rows,
        best_row=None,
        best_floor=None,
        disagreements=tuple(describe_disagreements(records)),
    )
    if ranking is None:
        return bare
    greater = scores[ranking].greater_is_better
    return replace(
        bare,
        best_row=bare.best(ranking, greater_is_better=greater),
        best_floor=bare.best(ranking, greater_is_better=greater, rows=[row for row in rows if row.floor]),
        pairs=compare_pairs(rows, greater_is_better=greater),
    )


def _by_unit(records: Mapping[str, RunRecord]) -> dict[str, RunRecord]:
    """Name test losses after their units if runs differ in units: loss per token and per class are not comparable.

    The most frequent unit keeps the plain name.
    """
    units = {run: _loss_unit(r) for run, r in records.items() if r.finished and LOSS in r.results}
    counts = Counter(units.values())
    if len(counts) < 2:
        return dict(records)
    most = max(counts, key=lambda unit: counts[unit])
    names = {unit: LOSS if unit == most else f"{LOSS} in {unit}" for unit in counts}
    return {
        run: _with_loss_named(r, names[units[run]], units[run]) if run in units else _without_loss(r)
        for run, r in records.items()
    }


def _loss_unit(record: RunRecord) -> str | None:
    about = record.scores.get(LOSS)
    return (about.unit or None) if about else None


def _with_loss_named(record: RunRecord, name: str, unit: str | None) -> RunRecord:
    bare, about = _without_loss(record), replace(TEST_LOSS, title=f"Test loss ({unit})", unit=unit or "")
    results = {name if score == LOSS else score: value for score, value in record.results.items()}
    return replace(bare, scores={**bare.scores, name: about}, results=results)


def _without_loss(record: RunRecord) -> RunRecord:
    return replace(record, scores={score: about for score, about in record.scores.items() if score != LOSS})


def _collect_runs(
    records: Mapping[str, RunRecord],
    predictions: Mapping[str, Predictions],
    expected_runs: Sequence[tuple[str, int]],
) -> dict[str, tuple[RunRow, ...]]:
    """Group all runs by row: the expected ones in order, then those found only in the records."""
    unexpected = sorted({(record.row, record.seed) for record in records.values()} - set(expected_runs))
    runs: dict[str, list[RunRow]] = {}
    for row, seed in [*dict.fromkeys(expected_runs), *unexpected]:
        run = run_name(row=row, seed=seed)
        runs.setdefault(row, []).append(_make_run(row, seed, records.get(run), len(predictions.get(run, ()))))
    return {row: tuple(members) for row, members in runs.items()}


def _make_run(row: str, seed: int, record: RunRecord | None, num_examples: int) -> RunRow:
    if record is None:
        return RunRow(row=row, seed=seed, status=MISSING)
    if not record.finished:
        return RunRow(row=row, seed=seed, status=FAILED, error=record.error or "no error was recorded", record=record)
    figures = figures_of(record)
    if num_examples and "num_prompt_tokens" in figures:
        figures["prompt_tokens_per_example"] = figures["num_prompt_tokens"] / num_examples
    return RunRow(row=row, seed=seed, status=FINISHED, figures=figures, record=record)


def _label_rows(runs: Mapping[str, Sequence[RunRow]]) -> dict[str, str]:
    """Return {row: its method's title}, with the row's name added where several rows share a title."""
    records = {row: next((run.record for run in members if run.record), None) for row, members in runs.items()}
    titles = {row: (record.card.title or row) if record else row for row, record in records.items()}
    shared = Counter(titles.values())
    return {row: title if shared[title] == 1 else f"{title} ({row})" for row, title in titles.items()}


def _collect_scores(records: Iterable[RunRecord]) -> dict[str, ScoreDescription]:
    """Collect the scores of all finished records, in the first record's order; the loss always has a title."""
    scores: dict[str, ScoreDescription] = {}
    finished = [record for record in records if record.finished]
    for record in finished:
        scores.update({name: about for name, about in record.scores.items() if name not in scores})
    if any(LOSS in record.results for record in finished):
        scores.setdefault(LOSS, TEST_LOSS)
    return scores


def _make_row(
    label: str, runs: tuple[RunRow, ...], predictions: Mapping[str, Predictions], scores: Iterable[str]
) -> MethodRow:
    """Average a row's finished runs and compute the intervals of its scores; the first score is the ranking score."""
    finished = [run for run in runs if run.status == FINISHED]
    shared = [key for key in (finished[0].figures if finished else {}) if all(key in run.figures for run in finished)]
    columns = {key: [run.figures[key] for run in finished] for key in shared}
    lines = [predictions.get(run.run, ()) for run in finished]
    by_score = {score: collect_scores(lines, score) for score in scores if score in shared}
    row = MethodRow(
        row=runs[0].row,
        label=label,
        status=_row_status(runs),
        runs=runs,
        floor=bool(finished) and not any(run.figures.get("trainable_params") for run in finished),
        figures={key: float(np.mean(numbers)) for key, numbers in columns.items()},
        spreads={key: float(np.std(numbers, ddof=1)) for key, numbers in columns.items() if len(numbers) > 1},
        examples=by_score.get(next(iter(scores), "")),
    )
    return replace(row, intervals={score: _interval(row, values) for score, values in by_score.items()})


def _interval(row: MethodRow, values: ExampleScores) -> Interval:
    scope = describe_scope(len(values.ids), None if row.floor else len(row.finished_runs))
    if len(row.test_data) > 1:
        reason = "its seeds were scored on different test data"
        return Interval(num_examples=len(values.ids), scope=scope, reason=reason)
    return mean_interval(values, scope=scope)


def _row_status(runs: Sequence[RunRow]) -> str:
    statuses = {run.status for run in runs}
    if statuses == {FINISHED}:
        return FINISHED
    if FINISHED in statuses:
        return PARTIAL
    return FAILED if FAILED in statuses else MISSING
