"""The figures that tables and charts show, with their titles and number formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hf_peft_compare.comparison.build import Comparison
from hf_peft_compare.comparison.example_scores import CONTRIBUTIONS, is_loss
from hf_peft_compare.comparison.rows import MethodRow
from hf_peft_compare.utils.formatting import (
    format_count,
    format_megabytes,
    format_milliseconds,
    format_percent,
    format_score,
    format_seconds,
    format_watt_hours,
)

CUDA_PEAK, RESIDENT_PEAK = "train_peak_allocated_bytes", "resident_peak_bytes"


@dataclass(frozen=True, kw_only=True)
class FigureColumn:
    """One figure of the rows: its key, title with unit, number format and direction (None: neither end is better)."""

    key: str
    title: str
    write: Callable[[float | None], str]
    greater_is_better: bool | None = None
    is_score: bool = False


PARAMETERS = FigureColumn(key="trainable_params", title="Trainable parameters", write=format_count)
TRAIN_TIME = FigureColumn(key="train_seconds", title="Train time (s)", write=format_seconds, greater_is_better=False)
TUNED_TIME = FigureColumn(
    key="tuned_train_seconds", title="Time with tuning (s)", write=format_seconds, greater_is_better=False
)
ENERGY = FigureColumn(key="train_energy_joules", title="Energy (Wh)", write=format_watt_hours)
CHECKPOINT = FigureColumn(
    key="checkpoint_bytes", title="Checkpoint (MB)", write=format_megabytes, greater_is_better=False
)
LATENCY = FigureColumn(
    key="latency_1_seconds", title="Latency (ms)", write=format_milliseconds, greater_is_better=False
)


def main_columns(comparison: Comparison) -> list[FigureColumn]:
    """Return the columns of the main table: main scores, parameters, time, memory."""
    return [
        *(score_column(comparison, name) for name in main_scores(comparison)),
        PARAMETERS,
        FigureColumn(key="trainable_ratio", title="of all", write=format_percent),
        _marked(comparison, TRAIN_TIME),
        *_energy_columns(comparison),
        memory_column(comparison),
    ]


def _marked(comparison: Comparison, costs: FigureColumn) -> FigureColumn:
    """Return a column of times or memory with what makes its figures unlike in its title."""
    marks = ["unlike devices"] if _has_unlike_devices(comparison) else []
    if (number := most_side_by_side(comparison)) > 1 and costs in (TRAIN_TIME, TUNED_TIME):
        marks.append(f"{number} runs side by side")
    return replace(costs, title=f"{costs.title[:-1]}, {', '.join(marks)})") if marks else costs


def _energy_columns(comparison: Comparison) -> list[FigureColumn]:
    """Return the column of energy if some row has it, with what is estimated of it in its title."""
    shares = [share for row in comparison.rows if (share := estimated_share(row)) is not None]
    if not shares:
        return []
    mark = ", estimated" if min(shares) == 1 else ", partly estimated" if any(shares) else ""
    return [_marked(comparison, replace(ENERGY, title=f"{ENERGY.title[:-1]}{mark})"))]


def estimated_share(row: MethodRow) -> float | None:
    """Return the share of a row's energy that no meter measured; None: it has no energy."""
    energy = row.figures.get(ENERGY.key)
    return row.figures.get("estimated_energy_joules", energy) / energy if energy else None


def _has_unlike_devices(comparison: Comparison) -> bool:
    """Whether finished runs were done on machines that are known to differ; older records know less of theirs."""
    facts = [run.record.provenance for row in comparison.finished_rows for run in row.finished_runs if run.record]
    known = zip(*((made.device, made.processor, made.gpu_driver) for made in facts), strict=True)
    return any(len(set(values) - {None}) > 1 for values in known)


def most_side_by_side(comparison: Comparison) -> int:
    """Return the largest number of runs that were done at once on a machine."""
    records = [run.record for row in comparison.finished_rows for run in row.finished_runs]
    return max((record.provenance.side_by_side or 1 for record in records if record), default=1)


def main_scores(comparison: Comparison) -> list[str]:
    """Return the scores of the main table: of precision, recall and F only F, and Lsum only if L is missing."""
    names = list(comparison.scores)
    stems = {name.removesuffix("_fmeasure") for name in names if name.endswith("_fmeasure")}

    def is_main(name: str) -> bool:
        stem, _, part = name.rpartition("_")
        if part in ("precision", "recall") and stem in stems:
            return False
        return not (part == "fmeasure" and stem.endswith("sum") and stem.removesuffix("sum") in stems)

    kept = [name for name in names if is_main(name)]
    return sorted(kept, key=is_loss)


def score_column(comparison: Comparison, name: str) -> FigureColumn:
    """Return the column of a score, with the title in its records."""
    about = comparison.scores[name]
    return FigureColumn(
        key=name,
        title=about.title or name,
        write=format_score,
        greater_is_better=about.greater_is_better,
        is_score=True,
    )


def example_column(comparison: Comparison) -> FigureColumn | None:
    """Return the column of the first score that single examples have; one of the whole split, such as F1, they lack."""
    names = (name for name in comparison.scores if not name.startswith(CONTRIBUTIONS))
    return next((score_column(comparison, name) for name in names), None)


def has_cuda(comparison: Comparison) -> bool:
    """Whether some run measured CUDA memory."""
    return any(CUDA_PEAK in run.figures for run in comparison.runs)


def memory_column(comparison: Comparison) -> FigureColumn:
    """Return the memory column: CUDA peak above the baseline, else the process's resident peak, as titled."""
    if has_cuda(comparison):
        title, key = "Peak GPU memory (MB)", CUDA_PEAK
    else:
        title, key = "Resident peak (MB, no CUDA device)", RESIDENT_PEAK
    return _marked(comparison, FigureColumn(key=key, title=title, write=format_megabytes, greater_is_better=False))


def cost_columns(comparison: Comparison) -> list[FigureColumn]:
    """Return the costs of training and of use that quality is weighed against, where some row has them."""
    times = [_marked(comparison, TRAIN_TIME), _marked(comparison, TUNED_TIME)]
    columns = [PARAMETERS, *times, memory_column(comparison), CHECKPOINT, _marked(comparison, LATENCY)]
    return [column for column in columns if any(row.figures.get(column.key) for row in comparison.rows)]


def ranking_column(comparison: Comparison) -> FigureColumn:
    """Return the column of the ranking score, which must exist."""
    assert comparison.ranking_score is not None
    return score_column(comparison, comparison.ranking_score)
