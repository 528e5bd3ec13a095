"""Analysis: sentences computed from the numbers, beyond the verdict, without claims that they do not support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hf_peft_compare.comparison import Comparison, MethodRow, PairedDifference
from hf_peft_compare.comparison.columns import CUDA_PEAK, RESIDENT_PEAK, FigureColumn, example_column, has_cuda
from hf_peft_compare.comparison.example_scores import LOSS, collect_scores
from hf_peft_compare.comparison.pairwise import compare_pairs
from hf_peft_compare.comparison.verdict import write_pair
from hf_peft_compare.report.blocks import Block, Bullets, Material, Section
from hf_peft_compare.report.references import describe_not_comparable
from hf_peft_compare.report.sections.groups import group_lines, group_means, group_size
from hf_peft_compare.utils.formatting import MOST_LISTED, format_percent, format_score, shorten

BETTER, WORSE = "Significantly better than it", "Significantly worse than it"
NO_DIFFERENCE = "Not significantly different from it"


def render_analysis(material: Material) -> list[Block]:
    """Return sentences on quality against the untrained rows, and on cost; the verdict has the limitations."""
    comparison = material.comparison
    if comparison.best_row is None:
        return []
    quality = [
        *describe_floors(comparison),
        *describe_prompts(comparison),
        *describe_groups(material),
        *describe_best_loss(comparison),
        *describe_reference(material),
    ]
    groups = {"Quality": quality, "Cost": list(describe_costs(comparison))}
    return [Bullets(title=title, items=items) for title, items in groups.items() if items]


def describe_floors(comparison: Comparison) -> Iterator[str]:
    """Yield which trained rows are better or worse than the best untrained one, or not significantly different."""
    floor = comparison.row(comparison.best_floor)
    if floor is None:
        yield "No untrained method has a score yet, so the gain from training is unknown."
        return
    yield f"The best method without training is {floor.label} with {format_score(_score(floor, comparison))}."
    found: dict[str, list[str]] = {BETTER: [], WORSE: [], NO_DIFFERENCE: [], "Not tested": []}
    for row in comparison.finished_rows:
        pair = comparison.pair(row.row, floor.row)
        if not row.floor and pair is not None:
            words = write_pair(pair) if pair.p_value is not None else str(pair.interval.reason)
            found[_side(pair, _greater(comparison))].append(f"{row.label} ({words})")
    for side, rows in found.items():
        if rows:
            yield f"{side}: {'; '.join(shorten(rows))}."


def _side(pair: PairedDifference, greater: bool) -> str:
    if pair.p_value is None or pair.mean is None:
        return "Not tested"
    if not pair.significant:
        return NO_DIFFERENCE
    return BETTER if (pair.mean > 0) == greater else WORSE


def describe_prompts(comparison: Comparison) -> Iterator[str]:
    """Yield what one solved example, and what a persona, changed against zero-shot, with the interval of each.

    A row is compared with the zero-shot row of the same template; without one, with the only zero-shot row.
    """
    by_method: dict[str, list[MethodRow]] = {}
    for row in comparison.finished_rows:
        by_method.setdefault(row.record.method if row.record else "", []).append(row)
    plain = by_method.get("zero_shot", [])
    for method in ("one_shot", "few_shot", "expert"):
        for row in by_method.get(method, []):
            same = [other for other in plain if _template(other) == _template(row)] or plain
            pair = comparison.pair(row.row, same[0].row) if len(same) == 1 else None
            if pair is None or pair.mean is None:
                continue
            words = "significantly different" if pair.significant else "not significantly different"
            changed = "" if _template(same[0]) == _template(row) else "; their templates differ too"
            yield f"{row.label} against {same[0].label}: {write_pair(pair)} ({words}{changed})."


def _template(row: MethodRow) -> object:
    return row.record.config.get("method", {}).get("template") if row.record else None


def describe_groups(material: Material) -> Iterator[str]:
    """Yield for each group of examples the row with the best score, and its lead over the best row overall, tested."""
    comparison = material.comparison
    best, score = comparison.row(comparison.best_row), example_column(comparison)
    if best is None or score is None or len(comparison.finished_rows) < 2:
        return
    means = {row.row: group_means(material, row, score.key) for row in comparison.finished_rows}
    groups = sorted(set().union(*means.values()))
    for group in groups:
        values = {row: found[group] for row, found in means.items() if group in found}
        leader = (max if score.greater_is_better else min)(values, key=lambda row: values[row])
        row = comparison.row(leader)
        if (number := group_size(material, group)) < 2:
            continue
        title = "" if score.key == comparison.ranking_score else f"{score.title} "
        label = row.label if row else leader
        words = f"Of {number:,} examples of {group}, {label} has {title}{format_score(values[leader])}"
        if leader != best.row and best.row in values:
            pair = _pair_in_group(material, score, group, leader, best.row)
            words += f", {best.label} {format_score(values[best.row])}" + (f" ({write_pair(pair)})" if pair else "")
        yield f"{words}; the best of {len(values)} methods in one group is likely too good."


def _pair_in_group(
    material: Material, score: FigureColumn, group: str, row: str, other: str
) -> PairedDifference | None:
    """Return the difference of two rows over the examples of a group, adjusted over all pairs of rows in it."""
    comparison = material.comparison
    rows = [
        replace(found, examples=collect_scores(lines, score.key))
        for found in comparison.finished_rows
        if any(lines := [group_lines(material, run.run, group) for run in found.finished_runs])
    ]
    pairs = compare_pairs(rows, greater_is_better=bool(score.greater_is_better), smallest_difference=None)
    both = (pair for pair in (*pairs, *(pair.reversed() for pair in pairs)) if (pair.row, pair.other) == (row, other))
    return next(both, None)


def describe_best_loss(comparison: Comparison) -> Iterator[str]:
    """Yield a sentence if the row with the lowest loss is not the one with the best score."""
    row = comparison.row(comparison.best(LOSS, greater_is_better=False))
    best = comparison.row(comparison.best_row)
    if row is not None and best is not None and row is not best and LOSS in best.figures:
        loss, unit = format_score(row.figures[LOSS]), comparison.scores[LOSS].unit or "nats per token"
        yield f"The lowest test loss is that of another method: {row.label} with {loss} {unit}."


def describe_reference(material: Material) -> Iterator[str]:
    """Yield the row that leads the reference by the ranking score."""
    references, comparison = material.study.references, material.comparison
    values = {
        row: figures[_ranking(comparison)]
        for row, figures in (references.rows if references else {}).items()
        if _ranking(comparison) in figures
    }
    if references is None or references.minimum or len(values) < 2:
        return
    if any(describe_not_comparable(material, row) for row in comparison.rows):
        return
    name = (max if _greater(comparison) else min)(values, key=lambda row: values[row])
    row = comparison.row(name)
    yield (
        f"In the reference ({references.source}), {row.label if row else name} is best of {len(values)} methods with "
        f"{_title(comparison)} {format_score(values[name])}; the protocols differ, see the notes of the comparison."
    )


def describe_costs(comparison: Comparison) -> Iterator[str]:
    """Yield every trained row's share of the parameters, time and memory of full fine-tuning.

    Of many rows, those that may be the best; the tables have the others.
    """
    trained = [row for row in comparison.finished_rows if not row.floor and not row.given]
    many = len(trained) > MOST_LISTED
    full = next((row for row in trained if row.figures.get("trainable_ratio") == 1), None)
    for row in trained:
        if row is full or (many and row.row not in comparison.best_set):
            continue
        share = f"{row.label} trains {format_percent(row.figures.get('trainable_ratio'))} of its parameters"
        yield f"{share}{_describe_ratios(comparison, row, full)}."
    if full is None and trained:
        yield "No finished method trains all parameters, so costs relative to full fine-tuning are unknown."


def _describe_ratios(comparison: Comparison, row: MethodRow, full: MethodRow | None) -> str:
    if full is None:
        return ""
    memory = (
        (CUDA_PEAK, "peak GPU memory above the baseline")
        if has_cuda(comparison)
        else (RESIDENT_PEAK, "resident process memory")
    )
    parts = [
        f"{format_percent(ratio)} of the {words}"
        for key, words in (("train_seconds", "training time"), memory)
        if (ratio := _ratio(row.figures.get(key), full.figures.get(key))) is not None
    ]
    return f"; it took {' and '.join(parts)} of {full.label}" if parts else ""


def _ratio(value: float | None, whole: float | None) -> float | None:
    return value / whole if value is not None and whole else None


def _ranking(comparison: Comparison) -> str:
    assert comparison.ranking_score is not None
    return comparison.ranking_score


def _score(row: MethodRow, comparison: Comparison) -> float | None:
    return row.figures.get(_ranking(comparison))


def _title(comparison: Comparison) -> str:
    score = _ranking(comparison)
    return comparison.scores[score].title or score


def _greater(comparison: Comparison) -> bool:
    return comparison.scores[_ranking(comparison)].greater_is_better


SECTION = Section(name="analysis", title="Analysis", order=10, render=render_analysis)
