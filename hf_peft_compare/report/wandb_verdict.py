"""Log a study's verdict to Weights & Biases: a run of its group, and a report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_peft_compare.comparison.columns import cost_columns, main_scores, ranking_column
from hf_peft_compare.comparison.pareto import pareto_fronts
from hf_peft_compare.comparison.verdict import describe_verdict

if TYPE_CHECKING:
    from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.utils.wandb_run import is_disabled, logger, open_run

# --- The verdict of a study -----------------------------------------------------------------------------------


def log_verdict(study: str, comparison: Comparison, folder: Path) -> None:
    """Log a study's verdict, comparison and Pareto fronts as a run of its group; failures become warnings.

    The same study resumes the same W&B run, so that the summary has the newest verdict.

    | key                       | what is logged                                                    |
    |---------------------------|-------------------------------------------------------------------|
    | verdict/{text,best_row}   | the verdict's sentences and the best row, in the run's summary    |
    | verdict/comparison        | a table: each row's scores with their intervals, and its costs    |
    | verdict/pareto            | a table: row, cost, on the front as measured, share of resamples  |
    | verdict/against/<cost>    | a scatter plot of the ranking score against the cost              |
    | verdict/report            | the address of a W&B report of the group, created the first time  |

    The report requires an account and the package wandb-workspaces; without them it is not created.
    """
    if is_disabled() or comparison.best_row is None:
        return
    run = None
    try:
        identity = re.sub(r"[^\w.-]+", "-", f"{study}-verdict")[-128:]  # W&B's own limits
        run = open_run(
            folder=folder,
            study_folder=folder,
            note=logger.warning,
            group=study,
            name="verdict",
            job_type="verdict",
            id=identity,
        )
        run.summary.update(
            {"verdict/text": "\n".join(describe_verdict(comparison)), "verdict/best_row": comparison.best_row}
        )
        run.log(dict(_tables(comparison)))
        if not run.offline and "verdict/report" not in run.summary.keys() and find_spec("wandb_workspaces"):
            report = make_report(comparison, study=study, entity=run.entity, project=run.project)
            report.save()
            run.summary["verdict/report"] = report.url
    except Exception as error:
        logger.warning(f"W&B failed while the verdict was logged ({type(error).__name__}: {error}).")
    finally:
        _finish(run)


def make_report(comparison: Comparison, *, study: str, entity: str, project: str) -> Any:
    """Build an unsaved W&B report: the verdict, then the curves, scores and costs of the study's runs."""
    import wandb_workspaces.reports.v2 as blocks
    from wandb_workspaces import expr

    ranking = ranking_column(comparison)
    runs = blocks.Runset(entity=entity, project=project, name=study, filters=[expr.Config("study") == study])
    row = blocks.Config("row")  # the seeds of a row are one line, or one bar
    curves = blocks.LinePlot(title="Validation loss", x="train/global_step", y=["eval/loss"], groupby=row)
    scores = blocks.BarPlot(title=ranking.title, metrics=[f"test/{ranking.key}"], groupby=row)
    time = blocks.ScatterPlot(
        title=f"{ranking.title} against training time", x="seconds/train", y=f"test/{ranking.key}"
    )
    return blocks.Report(
        entity=entity,
        project=project,
        title=f"{study}: comparison of methods",
        description=f"The verdict on the runs of {study}, by hf_peft_compare.",
        blocks=[
            blocks.H1("Verdict"),
            blocks.UnorderedList([*describe_verdict(comparison)]),
            blocks.H1("Runs"),
            blocks.PanelGrid(runsets=[runs], panels=[scores, time, curves]),
        ],
    )


def _finish(run: Any) -> None:
    try:
        if run is not None:
            run.finish()
    except Exception as error:
        logger.warning(f"W&B failed while finishing ({type(error).__name__}: {error}).")


def _tables(comparison: Comparison) -> Iterator[tuple[str, Any]]:
    """Yield the tables of a comparison, and a plot for every cost."""
    import wandb

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
    table = wandb.Table(columns=["row", "label", "num_seeds", *bounds, *costs], data=rows)
    yield "verdict/comparison", table
    ranking = ranking_column(comparison)
    for cost in costs:
        title = f"{ranking.title} against {cost}"
        yield f"verdict/against/{cost}", wandb.plot.scatter(table, cost, f"{ranking.key}/mean", title=title)
    fronts = [
        [row, front.cost.key, row in front.members, share]
        for front in pareto_fronts(comparison)
        for row, share in front.shares.items()
    ]
    yield "verdict/pareto", wandb.Table(columns=["row", "cost", "on_front", "share_of_resamples"], data=fronts)


def _with_bounds(row: MethodRow, score: str) -> tuple[float | None, float | None, float | None]:
    interval = row.intervals.get(score)
    return (row.figures.get(score), interval.low, interval.high) if interval else (row.figures.get(score), None, None)
