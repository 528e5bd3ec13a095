"""Log a study's verdict to its trackers, as one more run of the study."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.comparison.columns import cost_columns, main_scores, ranking_column
from hf_peft_compare.comparison.pareto import pareto_fronts
from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.core.tracker import Cell, Scatter, TrackedRun, TrackedTable
from hf_peft_compare.core.tracking import Trackers

if TYPE_CHECKING:
    from hf_peft_compare.comparison import Comparison, MethodRow

logger = logging.getLogger(__name__)


def log_verdict(study: str, comparison: Comparison, folder: Path, report_to: Sequence[str]) -> None:
    """Log a study's verdict, comparison and Pareto fronts as a run of the study; failures become warnings.

    The same study goes on with the same run, which has the newest verdict.

    | key                       | what is logged                                                    |
    |---------------------------|-------------------------------------------------------------------|
    | verdict/{text,best_row}   | the verdict's sentences and the best row                          |
    | verdict/comparison        | a table: each row's scores with their intervals, and its costs    |
    | verdict/pareto            | a table: row, cost, on the front as measured, share of resamples  |
    | verdict/against/<cost>    | a scatter plot of the ranking score against the cost, in W&B      |

    Args:
        report_to: the trackers; those that transformers alone knows have no verdict.
    """
    if comparison.best_row is None:
        return
    run = TrackedRun(
        study=study, name="verdict", kind="verdict", folder=folder, study_folder=folder, note=logger.warning
    )
    trackers = Trackers(report_to, run)
    trackers.start()
    if trackers.is_logging:
        text = "\n".join(describe_verdict(comparison))
        tables = {"verdict/comparison": _comparison(comparison), "verdict/pareto": _pareto(comparison)}
        trackers.finish({"verdict/text": text, "verdict/best_row": comparison.best_row}, tables)
    trackers.close()


def _comparison(comparison: Comparison) -> TrackedTable:
    scores, costs = main_scores(comparison), [column.key for column in cost_columns(comparison)]
    bounds = [f"{score}/{end}" for score in scores for end in ("mean", "low", "high")]
    rows = [
        [
            row.row,
            row.label,
            len(row.finished_runs),
            *(value for score in scores for value in _with_bounds(row, score)),
            *(row.figures.get(cost) for cost in costs),
        ]
        for row in comparison.finished_rows
    ]
    ranking = ranking_column(comparison)
    plots = [
        Scatter(
            name=f"verdict/against/{cost}", title=f"{ranking.title} against {cost}", x=cost, y=f"{ranking.key}/mean"
        )
        for cost in costs
    ]
    return TrackedTable(columns=["row", "label", "num_seeds", *bounds, *costs], rows=rows, plots=plots)


def _pareto(comparison: Comparison) -> TrackedTable:
    rows: list[list[Cell]] = [
        [row, front.cost.key, row in front.members, share]
        for front in pareto_fronts(comparison)
        for row, share in front.shares.items()
    ]
    return TrackedTable(columns=["row", "cost", "on_front", "share_of_resamples"], rows=rows)


def _with_bounds(row: MethodRow, score: str) -> tuple[float | None, float | None, float | None]:
    interval = row.intervals.get(score)
    return (row.figures.get(score), interval.low, interval.high) if interval else (row.figures.get(score), None, None)
