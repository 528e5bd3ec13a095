"""Build the comparison of a study from its records and per-example scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hf_peft_compare.comparison.best_set import find_best_set
from hf_peft_compare.comparison.class_answers import count_answers
from hf_peft_compare.comparison.contradictions import describe_contradictions
from hf_peft_compare.comparison.crossed_effects import LEVEL
from hf_peft_compare.comparison.example_scores import CONTRIBUTIONS, LOSS, ExampleScores, Predictions, collect_scores
from hf_peft_compare.comparison.forgetting import change_intervals
from hf_peft_compare.comparison.intervals import Interval, bounds_of, describe_scope, mean_interval
from hf_peft_compare.comparison.loss_units import TEST_LOSS, by_unit
from hf_peft_compare.comparison.pairwise import PairedDifference, compare_pairs
from hf_peft_compare.comparison.protocol_differences import describe_disagreements
from hf_peft_compare.comparison.rows import FAILED, FINISHED, MISSING, PARTIAL, MethodRow, RunRow, figures_of
from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

GIVEN = frozenset({"checkpoint", "predictions_from"})  # settings of rows that score what was trained elsewhere
SMALLEST_DIFFERENCE = 0.02  # of scores from 0 to 1; of others, the share of the best mean


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows of a study, in the study's order.

    Args:
        scores: {score name: its description}, the ranking score first.
        ranking_score: the score that rows are ranked by; None while no run has finished.
        best_row, best_floor: rows with the best mean of the ranking score, among all and among the floors; of equal
            means, the row with fewer trained parameters, then with less training time.
        best_set: rows of which the best is one with 95 % confidence, by their mean; rows that cannot be tested against
            `best_row` are left out.
        best_interval: of the best row, wider where it may owe its place to chance: at 1 - .05 / M of M rows where the
            set has more than one.
        smallest_difference: the smallest difference in the ranking score that matters.
        class_counts: {class: test examples} if a score is of whole classes, such as F1.
        pairs: all pairs of rows that have scores, in the study's order.
        disagreements: sentences on settings that runs should share but do not, e.g. their test data, and on records
            that contradict their predictions.
    """

    scores: dict[str, ScoreDescription]
    ranking_score: str | None
    rows: tuple[MethodRow, ...]
    best_row: str | None
    best_floor: str | None
    best_set: tuple[str, ...] = ()
    best_interval: Interval | None = None
    smallest_difference: float | None = None
    class_counts: dict[str, int] = field(default_factory=dict)
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
        """Return the name of the row with the best mean of a figure, or None if no row has it; ties go by cost."""
        ranked = self.ranked(figure, greater_is_better=greater_is_better, rows=rows)
        return ranked[0].row if ranked else None

    def ranked(
        self, figure: str, *, greater_is_better: bool, rows: Iterable[MethodRow] | None = None
    ) -> list[MethodRow]:
        """Return the rows that have a figure, the best mean first; ties go by cost."""
        candidates = self.rows if rows is None else rows
        known = [row for row in candidates if math.isfinite(row.figures.get(figure, math.nan))]
        sign = -1 if greater_is_better else 1
        return sorted(known, key=lambda row: (float(f"{sign * row.figures[figure]:.9g}"), *row.cost))

    def best_set_of(self, rows: Iterable[MethodRow]) -> tuple[str, ...]:
        """Return the rows of which the best is one with 95 % confidence, by their mean."""
        assert self.ranking_score is not None
        greater = self.scores[self.ranking_score].greater_is_better
        ranked = [row.row for row in self.ranked(self.ranking_score, greater_is_better=greater, rows=rows)]

        def beats(row: str, other: str) -> float | None:
            pair = self.pair(row, other)
            return None if pair is None else pair.beats(greater_is_better=greater)

        tested = [row for row in ranked if row == ranked[0] or beats(ranked[0], row) is not None]
        return find_best_set(tested, beats)


def compare(
    records: Mapping[str, RunRecord],
    predictions: Mapping[str, Predictions],
    *,
    expected_runs: Sequence[tuple[str, int]],
    smallest_difference: float | None = None,
) -> Comparison:
    """Compare the runs of a study.

    Args:
        records, predictions: by run name; a run without predictions has no intervals.
        expected_runs: (row, seed) of all runs of the study in its order; a run without a record is marked missing.
        smallest_difference: the smallest difference that matters; None: .02, of a loss 2 % of the best row's.
    """
    records = by_unit(records)
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
        class_counts=_count_classes(scores, predictions),
        disagreements=(*describe_disagreements(records), *(told for row in rows for told in row.contradictions)),
    )
    if ranking is None:
        return bare
    greater = scores[ranking].greater_is_better
    best = bare.best(ranking, greater_is_better=greater)
    if smallest_difference is None and best is not None:
        smallest_difference = _default_difference(ranking, next(row for row in rows if row.row == best))
    compared = replace(
        bare,
        best_row=best,
        best_floor=bare.best(ranking, greater_is_better=greater, rows=[row for row in rows if row.floor]),
        smallest_difference=smallest_difference,
        pairs=compare_pairs(rows, greater_is_better=greater, smallest_difference=smallest_difference),
    )
    if best is None:
        return compared
    found = replace(compared, best_set=compared.best_set_of(rows))
    return replace(found, best_interval=_best_interval(found))


def _default_difference(ranking: str, best: MethodRow) -> float | None:
    if best.examples is not None and math.isfinite(bounds_of(ranking, best.examples)[1]):
        return SMALLEST_DIFFERENCE
    return SMALLEST_DIFFERENCE * abs(best.figures[ranking]) or None


def _best_interval(comparison: Comparison) -> Interval | None:
    """Return the interval of the best row, at 1 - .05 / M where it may be the best of M rows by chance."""
    best = comparison.row(comparison.best_row)
    assert best is not None and comparison.ranking_score is not None
    plain = best.intervals.get(comparison.ranking_score)
    if plain is None or best.examples is None or not plain.known or len(comparison.best_set) < 2:
        return plain
    level = 1 - (1 - LEVEL) / sum(row.examples is not None for row in comparison.rows)
    return _interval(best, comparison.ranking_score, best.examples, level=level)


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


def _count_classes(scores: Iterable[str], predictions: Mapping[str, Predictions]) -> dict[str, int]:
    """Return the number of test examples of each class, by the references of the first run that has predictions."""
    if not _has_classes(scores):
        return {}
    lines = next((found for found in predictions.values() if found), ())
    return dict(Counter(str(line["reference"]) for line in lines if "reference" in line))


def _has_classes(scores: Iterable[str]) -> bool:
    return any(score.startswith(CONTRIBUTIONS) for score in scores)


def _make_row(
    label: str, runs: tuple[RunRow, ...], predictions: Mapping[str, Predictions], scores: Iterable[str]
) -> MethodRow:
    """Average a row's finished runs and compute the intervals of its scores; the first score is the ranking score."""
    finished = [run for run in runs if run.status == FINISHED]
    shared = [key for key in (finished[0].figures if finished else {}) if all(key in run.figures for run in finished)]
    columns = {key: [run.figures[key] for run in finished] for key in shared}
    lines = [predictions.get(run.run, ()) for run in finished]
    by_score = {score: collect_scores(lines, score) for score in scores if score in shared}
    given = any(map(_is_given, finished))
    trains = not given and (not finished or any(run.figures.get("trainable_params") for run in finished))
    row = MethodRow(
        row=runs[0].row,
        label=label,
        status=_row_status(runs),
        runs=runs,
        floor=not trains and not given,
        given=given,
        seeded=trains or any(map(_draws, finished)) or any(len(set(columns[score])) > 1 for score in by_score),
        figures={key: float(np.mean(numbers)) for key, numbers in columns.items()},
        spreads={key: float(np.std(numbers, ddof=1)) for key, numbers in columns.items() if len(numbers) > 1},
        examples=by_score.get(next(iter(scores), "")),
        answers=Counter(answer for _, answer in count_answers(lines).elements()) if _has_classes(scores) else {},
        contradictions=tuple(describe_contradictions(finished, by_score)),
    )
    intervals = {score: _interval(row, score, values) for score, values in by_score.items()}
    return replace(row, intervals={**intervals, **dict(change_intervals(row))})


def _is_given(run: RunRow) -> bool:
    """Whether a run scored what was trained elsewhere: it is no floor, and every seed has the same numbers."""
    return run.record is not None and not GIVEN.isdisjoint(run.record.config.get("method", {}))


def _draws(run: RunRow) -> bool:
    """Whether a run without training draws solved examples or tokens by its seed."""
    config = run.record.config if run.record is not None else {}
    drawn_tokens = config.get("generation", {}).get("temperature") is not None
    return drawn_tokens or bool(isinstance(shots := config.get("method", {}).get("shots"), int) and shots)


def _interval(row: MethodRow, score: str, values: ExampleScores, *, level: float = LEVEL) -> Interval:
    scope = describe_scope(values, len(row.finished_runs) if row.seeded else None)
    unlike = "test data" if len(row.test_data) > 1 else "examples" if not values.same_for_all_seeds else None
    if unlike:
        reason = f"its seeds were scored on different {unlike}"
        return Interval(num_examples=values.num_examples, scope=scope, reason=reason, level=level)
    return mean_interval(values, scope=scope, bounds=bounds_of(score, values), level=level)


def _row_status(runs: Sequence[RunRow]) -> str:
    statuses = {run.status for run in runs}
    if statuses == {FINISHED}:
        return FINISHED
    if FINISHED in statuses:
        return PARTIAL
    return FAILED if FAILED in statuses else MISSING
