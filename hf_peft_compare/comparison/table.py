"""Records and per-example scores become the comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_peft_compare.comparison.examples import LOSS, Predictions, as_arrays, average_over_seeds, example_values
from hf_peft_compare.comparison.intervals import Interval, bootstrap_intervals
from hf_peft_compare.comparison.rows import (
    FAILED,
    FINISHED,
    MISSING,
    PARTIAL,
    MethodRow,
    PairedDifference,
    RunRow,
    figures_of,
)
from hf_peft_compare.records import RunRecord, run_name

Values = dict[str, tuple[float, float]]  # example id: (value, weight)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every row of a study beside the others, in the study's order.

    Args:
        scores: {score name: {"title", "unit", "greater_is_better"}}, the ranking score first.
        ranking_score: the score that ranks; None while nothing finished.
        best_row, best_floor: rows with the best mean of the ranking score, among all and among the floors.
    """

    scores: dict[str, dict[str, Any]]
    ranking_score: str | None
    rows: tuple[MethodRow, ...]
    best_row: str | None
    best_floor: str | None

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """Every run of every row."""
        return tuple(run for row in self.rows for run in row.runs)

    @property
    def finished_rows(self) -> tuple[MethodRow, ...]:
        """The rows that have numbers."""
        return tuple(row for row in self.rows if row.finished_runs)

    @property
    def several_seeds(self) -> bool:
        """Whether some row has more than one finished seed."""
        return any(len(row.finished_runs) > 1 for row in self.rows)

    def row(self, name: str | None) -> MethodRow | None:
        """Give a row by its name; None where there is none."""
        return next((row for row in self.rows if row.row == name), None)

    def best(self, figure: str, *, greater_is_better: bool, rows: Iterable[MethodRow] | None = None) -> str | None:
        """Name the row with the best mean of a figure, the first of equals; None where no row has it."""
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
    """Put the runs of a study side by side.

    Args:
        records, predictions: by run name; a run without predictions has no intervals.
        expected_runs: (row, seed) of the whole study in its order; what has no record is marked missing.
    """
    runs = _collect_runs(records, expected_runs)
    labels = _label_rows(runs)
    scores = _collect_scores(records.values())
    ranking = next(iter(scores), None)
    values = {row: _row_values(members, predictions, scores) for row, members in runs.items()}
    rows = [_make_row(labels[row], members, values[row]) for row, members in runs.items()]
    bare = Comparison(scores=scores, ranking_score=ranking, rows=tuple(rows), best_row=None, best_floor=None)
    if ranking is None:
        return bare
    greater = bool(scores[ranking].get("greater_is_better", True))
    best = bare.best(ranking, greater_is_better=greater)
    floor = bare.best(ranking, greater_is_better=greater, rows=[row for row in rows if row.floor])
    paired = [
        _with_differences(row, best, floor, {name: row_values[ranking] for name, row_values in values.items()})
        for row in rows
    ]
    return replace(bare, rows=tuple(paired), best_row=best, best_floor=floor)


def _collect_runs(
    records: Mapping[str, RunRecord], expected_runs: Sequence[tuple[str, int]]
) -> dict[str, tuple[RunRow, ...]]:
    """Group all runs by row: the expected ones in order, then those that only a record knows."""
    unexpected = sorted({(record.row, record.seed) for record in records.values()} - set(expected_runs))
    runs: dict[str, list[RunRow]] = {}
    for row, seed in [*dict.fromkeys(expected_runs), *unexpected]:
        runs.setdefault(row, []).append(_make_run(row, seed, records.get(run_name(row=row, seed=seed))))
    return {row: tuple(members) for row, members in runs.items()}


def _make_run(row: str, seed: int, record: RunRecord | None) -> RunRow:
    if record is None:
        return RunRow(row=row, seed=seed, status=MISSING)
    if not record.finished:
        return RunRow(row=row, seed=seed, status=FAILED, error=record.error or "no error was recorded", record=record)
    return RunRow(row=row, seed=seed, status=FINISHED, figures=figures_of(record), record=record)


def _label_rows(runs: Mapping[str, Sequence[RunRow]]) -> dict[str, str]:
    """Give every row its method's title, with the row's name where the title is not its own."""
    records = {row: next((run.record for run in members if run.record), None) for row, members in runs.items()}
    titles = {row: (record.card.get("title") or row) if record else row for row, record in records.items()}
    shared = Counter(titles.values())
    return {row: title if shared[title] == 1 else f"{title} ({row})" for row, title in titles.items()}


def _collect_scores(records: Iterable[RunRecord]) -> dict[str, dict[str, Any]]:
    """Collect the scores of all finished records, in the order of the first; the loss always has a title."""
    scores: dict[str, dict[str, Any]] = {}
    finished = [record for record in records if record.finished]
    for record in finished:
        scores.update({name: about for name, about in record.scores.items() if name not in scores})
    if any(LOSS in record.results for record in finished):
        scores.setdefault(LOSS, {"title": "Test loss", "unit": "nats per token", "greater_is_better": False})
    return scores


def _row_values(
    runs: Sequence[RunRow], predictions: Mapping[str, Predictions], scores: Iterable[str]
) -> dict[str, Values]:
    finished = [predictions.get(run.run, ()) for run in runs if run.status == FINISHED]
    return {score: average_over_seeds([example_values(lines, score) for lines in finished]) for score in scores}


def _make_row(label: str, runs: tuple[RunRow, ...], values: Mapping[str, Values]) -> MethodRow:
    """Average a row's finished runs and put intervals beside its scores."""
    finished = [run for run in runs if run.status == FINISHED]
    shared = [key for key in (finished[0].figures if finished else {}) if all(key in run.figures for run in finished)]
    columns = {key: [run.figures[key] for run in finished] for key in shared}
    return MethodRow(
        row=runs[0].row,
        label=label,
        status=_row_status(runs),
        runs=runs,
        floor=bool(finished) and not any(run.figures.get("trainable_params") for run in finished),
        figures={key: float(np.mean(numbers)) for key, numbers in columns.items()},
        spreads={key: float(np.std(numbers, ddof=1)) for key, numbers in columns.items() if len(numbers) > 1},
        intervals=_intervals({score: values[score] for score in values if score in shared}, len(finished)),
    )


def _row_status(runs: Sequence[RunRow]) -> str:
    statuses = {run.status for run in runs}
    if statuses == {FINISHED}:
        return FINISHED
    if FINISHED in statuses:
        return PARTIAL
    return FAILED if FAILED in statuses else MISSING


def _intervals(values: Mapping[str, Values], num_seeds: int) -> dict[str, Interval]:
    """Bootstrap all scores of a row at once where they have the same examples, which is nearly always."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for score, by_example in values.items():
        groups.setdefault(tuple(by_example), []).append(score)
    intervals: dict[str, Interval] = {}
    for members in groups.values():
        arrays = [as_arrays(values[score]) for score in members]
        found = bootstrap_intervals(
            np.column_stack([array[0] for array in arrays]),
            weights=np.column_stack([array[1] for array in arrays]),
            scope=describe_scope(len(arrays[0][0]), num_seeds),
        )
        intervals.update(zip(members, found, strict=True))
    return {score: intervals[score] for score in values}


def describe_scope(num_examples: int, num_seeds: int) -> str:
    """Say what an interval speaks of: examples, and one seed or the mean of several."""
    seeds = "for this seed only" if num_seeds == 1 else f"mean of {num_seeds} seeds"
    return f"over {num_examples:,} test examples, {seeds}"


def _with_differences(row: MethodRow, best: str | None, floor: str | None, values: Mapping[str, Values]) -> MethodRow:
    def against(other: str | None) -> PairedDifference | None:
        if other is None or other == row.row or not row.finished_runs:
            return None
        return paired_difference(values[row.row], values[other], other=other, num_seeds=len(row.finished_runs))

    return replace(row, against_best=against(best), against_floor=against(floor))


def paired_difference(values: Values, others: Values, *, other: str, num_seeds: int = 1) -> PairedDifference | None:
    """Give the mean difference over the examples that both rows have; None where they share none."""
    shared = [key for key in values if key in others]
    if not shared:
        return None
    differences = np.array([[values[key][0] / values[key][1] - others[key][0] / others[key][1]] for key in shared])
    scope = describe_scope(len(shared), num_seeds)
    return PairedDifference(
        other=other, mean=float(differences.mean()), interval=bootstrap_intervals(differences, scope=scope)[0]
    )
