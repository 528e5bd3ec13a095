"""What the numbers say, in words computed from them; nothing is said that they do not carry."""

from __future__ import annotations

from collections.abc import Iterator

from hf_peft_compare.comparison import Comparison, MethodRow, PairedDifference
from hf_peft_compare.comparison.columns import CUDA_PEAK, RESIDENT_PEAK, has_cuda
from hf_peft_compare.comparison.examples import LOSS
from hf_peft_compare.comparison.formatting import (
    format_difference,
    format_interval,
    format_percent,
    format_score,
)
from hf_peft_compare.report.blocks import Block, Bullets, Material, Paragraph, Section


def render_analysis(material: Material) -> list[Block]:
    """Say who is best, by how much and at what cost, and what the numbers cannot tell."""
    comparison = material.comparison
    if comparison.best_row is None:
        return [Paragraph(text="No finished run has a score yet, so there is nothing to compare.")]
    quality = [
        *say_best(comparison),
        *say_next(comparison),
        *say_floors(comparison),
        *say_best_loss(comparison),
        *say_reference(material),
    ]
    limits = [
        *say_incomplete(comparison),
        *say_unmoved(comparison),
        *say_unfinished_training(comparison),
        *say_seeds(comparison),
    ]
    groups = {"Quality": quality, "Cost": list(say_costs(comparison)), "What they leave open": limits}
    return [Bullets(title=title, items=items) for title, items in groups.items() if items]


def say_best(comparison: Comparison) -> Iterator[str]:
    """Name the best row by the ranking score, with its interval."""
    row, score = _best(comparison), _ranking(comparison)
    values = [_score(other, comparison) for other in comparison.finished_rows]
    if len(values) > 1 and len(set(values)) == 1:
        yield f"All rows have the same {_title(comparison)}: {format_score(row.figures[score])}."
        return
    interval = row.intervals.get(score)
    sentence = f"{row.label} has the best {_title(comparison)}: {format_score(row.figures[score])}"
    if interval is None or not interval.known:
        reason = interval.reason if interval is not None and interval.reason else "no per-example scores"
        yield f"{sentence} (no interval: {reason})."
    else:
        yield f"{sentence} (95 % interval {format_interval(interval)}, {interval.scope})."


def say_next(comparison: Comparison) -> Iterator[str]:
    """Compare the best row with the next one, example by example."""
    others = [
        row
        for row in comparison.finished_rows
        if row.row != comparison.best_row and _score(row, comparison) is not None
    ]
    name = comparison.best(_ranking(comparison), greater_is_better=_greater(comparison), rows=others)
    row = comparison.row(name)
    if row is None:
        return
    interval, best = row.intervals.get(_ranking(comparison)), _best(comparison).intervals.get(_ranking(comparison))
    overlap = interval.overlaps(best) if interval and best else None
    between = {True: " The two intervals overlap.", False: " The two intervals do not overlap.", None: ""}[overlap]
    difference = _say_difference(row.against_best)
    yield f"Next is {row.label} with {format_score(_score(row, comparison))}.{between}{difference}"


def say_floors(comparison: Comparison) -> Iterator[str]:
    """Say which trained rows are above the best floor, which are below, and which cannot be told from it."""
    floor = comparison.row(comparison.best_floor)
    if floor is None:
        yield "No floor row has a score yet, so how much training adds is not known."
        return
    yield f"The best floor, where nothing is trained, is {floor.label} with {format_score(_score(floor, comparison))}."
    verdicts: dict[str, list[str]] = {
        "Above it, example by example": [],
        "Below it, example by example": [],
        "Not to be told from it with these examples": [],
    }
    for row in comparison.finished_rows:
        if not row.floor and row.against_floor is not None:
            verdicts[_against(row.against_floor, _greater(comparison))].append(_write_difference(row))
    for verdict, rows in verdicts.items():
        if rows:
            yield f"{verdict}: {'; '.join(rows)}."


def _write_difference(row: MethodRow) -> str:
    paired = row.against_floor
    assert paired is not None
    interval = f", 95 % interval {format_interval(paired.interval, signed=True)}" if paired.interval.known else ""
    return f"{row.label} ({format_difference(paired.mean)}{interval})"


def say_best_loss(comparison: Comparison) -> Iterator[str]:
    """Say when the best loss belongs to another row than the best score."""
    row = comparison.row(comparison.best(LOSS, greater_is_better=False))
    if row is not None and row.row != comparison.best_row:
        loss = format_score(row.figures[LOSS])
        yield f"The lowest test loss is another row's: {row.label} with {loss} nats per token."


def say_reference(material: Material) -> Iterator[str]:
    """Say which row the reference has in front by the ranking score."""
    references, comparison = material.study.references, material.comparison
    values = {
        row: figures[_ranking(comparison)]
        for row, figures in (references.rows if references else {}).items()
        if _ranking(comparison) in figures
    }
    if references is None or len(values) < 2:
        return
    name = (max if _greater(comparison) else min)(values, key=lambda row: values[row])
    row = comparison.row(name)
    yield (
        f"In the reference ({references.source}) {row.label if row else name} leads its {len(values)} rows with "
        f"{_title(comparison)} {format_score(values[name])}; the protocols differ, see the notes of the comparison."
    )


def say_costs(comparison: Comparison) -> Iterator[str]:
    """Give every trained row's share of parameters, time and memory of training everything."""
    full = next((row for row in comparison.finished_rows if row.figures.get("trainable_ratio") == 1), None)
    for row in comparison.finished_rows:
        if row.floor or row is full:
            continue
        share = f"{row.label} trains {format_percent(row.figures.get('trainable_ratio'))} of its parameters"
        yield f"{share}{_say_ratios(comparison, row, full)}."
    if full is None and any(not row.floor for row in comparison.finished_rows):
        yield "No finished row trains all parameters, so no cost is given relative to full fine-tuning."


def _say_ratios(comparison: Comparison, row: MethodRow, full: MethodRow | None) -> str:
    if full is None:
        return ""
    memory = (
        (CUDA_PEAK, "peak GPU memory above the baseline")
        if has_cuda(comparison)
        else (RESIDENT_PEAK, "resident memory of the process")
    )
    parts = [
        f"{format_percent(ratio)} of the {words}"
        for key, words in (("train_seconds", "training time"), memory)
        if (ratio := _ratio(row.figures.get(key), full.figures.get(key))) is not None
    ]
    return f"; it took {' and '.join(parts)} of {full.label}" if parts else ""


def say_unfinished_training(comparison: Comparison) -> Iterator[str]:
    """Name the rows whose best validation loss is their last one."""
    rising = [
        row.label for row in comparison.finished_rows if any(_best_is_last(run.record) for run in row.finished_runs)
    ]
    if rising:
        names = ", ".join(rising)
        yield f"Still improving on validation when training ended: {names}. More training may change these rows."


def say_unmoved(comparison: Comparison) -> Iterator[str]:
    """Name the rows whose parameters did not change in training."""
    for run in comparison.runs:
        record = run.record
        if (
            record
            and record.finished
            and record.initial_trainables_sha256
            and record.initial_trainables_sha256 == record.final_trainables_sha256
        ):
            yield f"The trainable parameters of {run.run} are the same after training as before: nothing was learned."


def say_seeds(comparison: Comparison) -> Iterator[str]:
    """Say what the intervals do not cover."""
    if comparison.several_seeds:
        yield "Intervals are over test examples, for the mean over seeds; the spread over seeds stands in the tables."
    else:
        yield (
            "Every row has one seed. The intervals cover the choice of test examples, for this seed only; another "
            "seed may order the rows differently."
        )


def say_incomplete(comparison: Comparison) -> Iterator[str]:
    """Count the runs without numbers."""
    missing = sum(run.status == "missing" for run in comparison.runs)
    failed = sum(run.status == "failed" for run in comparison.runs)
    if missing or failed:
        yield f"The study is not complete; of its {len(comparison.runs)} runs: not run yet {missing}, failed {failed}."


def _say_difference(paired: PairedDifference | None) -> str:
    if paired is None or not paired.interval.known:
        return ""
    holds = "includes" if paired.interval.holds(0) else "excludes"
    return (
        f" Its paired difference to the best is {format_difference(paired.mean)} on average "
        f"(95 % interval {format_interval(paired.interval, signed=True)}), which {holds} 0."
    )


def _against(paired: PairedDifference, greater: bool) -> str:
    if not paired.interval.known or paired.interval.holds(0):
        return "Not to be told from it with these examples"
    return "Above it, example by example" if (paired.mean > 0) == greater else "Below it, example by example"


def _best_is_last(record: object) -> bool:
    evaluated = [entry["step"] for entry in getattr(record, "history", ()) if "eval_loss" in entry]
    validation = getattr(record, "validation", None) or {}
    return len(evaluated) > 1 and validation.get("best_step") == evaluated[-1]


def _ratio(value: float | None, whole: float | None) -> float | None:
    return value / whole if value is not None and whole else None


def _best(comparison: Comparison) -> MethodRow:
    row = comparison.row(comparison.best_row)
    assert row is not None
    return row


def _ranking(comparison: Comparison) -> str:
    assert comparison.ranking_score is not None
    return comparison.ranking_score


def _score(row: MethodRow, comparison: Comparison) -> float | None:
    return row.figures.get(_ranking(comparison))


def _title(comparison: Comparison) -> str:
    score = _ranking(comparison)
    return str(comparison.scores[score].get("title") or score)


def _greater(comparison: Comparison) -> bool:
    return bool(comparison.scores[_ranking(comparison)].get("greater_is_better", True))


SECTION = Section(name="analysis", title="What the numbers say", order=10, render=render_analysis)
