"""Test examples with every row's answer side by side: some chosen by a fixed rule, and a search over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.comparison.columns import FigureColumn, example_column, ranking_column
from hf_peft_compare.comparison.example_scores import Predictions, example_values
from hf_peft_compare.report.blocks import MANY_ROWS, Answer, Block, Browser, Example, Material, Paragraph, Section
from hf_peft_compare.report.charts.style import short_label
from hf_peft_compare.report.escaping import cap, visible
from hf_peft_compare.report.page import pack
from hf_peft_compare.report.pictures import embed_picture
from hf_peft_compare.report.sources import source_text
from hf_peft_compare.utils.formatting import format_score

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_EXAMPLES = 5_000  # in the search
MOST_PACKED = 1_800_000  # characters of it in the page, which is to stay below 5 MB
MOST_PICTURES = 60  # in the search, of the first examples: about 1 MB
LONGEST_SOURCE, LONGEST_ANSWER = 10_000, 4_000


def render_examples(material: Material) -> list[Block]:
    """Return the example browser, and one example at each of five levels of difficulty."""
    lines = _lines_by_row(material)
    score = example_column(material.comparison)
    if score is None or not lines:
        return []
    values = {row: _values(list(by_id.values()), score.key) for row, by_id in lines.items()}
    sign = 1 if score.greater_is_better else -1
    chosen = choose_examples({row: {key: sign * value for key, value in of.items()} for row, of in values.items()})
    rule = (
        f"Examples are chosen by fixed rule: the 5, 25, 50, 75 and 95 % quantiles of mean {score.title} over all "
        "methods, the hardest first."
    )
    examples = [_example(material, lines, values, key, score.title) for key in chosen]
    return [_browser(material, lines, score), Paragraph(text=rule, muted=True), *examples]


def choose_examples(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the ids at fixed quantiles of the mean score over rows, the lowest first, of examples that all have."""
    shared = [key for key in next(iter(scores.values()), {}) if all(key in row for row in scores.values())]
    ranked = sorted(shared, key=lambda key: (sum(row[key] for row in scores.values()), key))
    return list(dict.fromkeys(ranked[round(quantile * (len(ranked) - 1))] for quantile in QUANTILES)) if ranked else []


def _lines_by_row(material: Material) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return {row: {example id: line}} of the first finished run of every row with predictions."""
    found = {}
    for row in material.comparison.finished_rows:
        lines = material.predictions.get(row.finished_runs[0].run, ())
        if lines and "prediction" in lines[0]:  # none in what is published without predictions
            found[row.row] = {str(line["id"]): line for line in lines}
    return found


def _values(predictions: Predictions, score: str) -> dict[str, float]:
    """Return {example id: its score}, of those that have a finite one."""
    found = {key: value / weight for key, (value, weight) in example_values(predictions, score).items()}
    return {key: value for key, value in found.items() if math.isfinite(value)}


def _example(
    material: Material,
    lines: Mapping[str, Mapping[str, Mapping[str, Any]]],
    values: Mapping[str, Mapping[str, float]],
    key: str,
    title: str,
) -> Example:
    answers = [
        Answer(
            label=row.label,
            text=str(lines[row.row][key].get("prediction", "")),
            score=f"{title} {format_score(values[row.row][key])}",
            accent=material.colors[row.row],
        )
        for row in _in_order(material, lines)
    ]
    first, record = next(iter(lines.values()))[key], material.comparison.finished_rows[0].record
    return Example(
        title=f"Example {key}",
        source=source_text(record, first),
        reference=str(first.get("reference") or ""),
        answers=answers,
        picture=embed_picture(record, first),
    )


def _in_order(material: Material, lines: Mapping[str, object]) -> list[MethodRow]:
    """Return the rows with answers: in the study's order, or of many the best first, since the page folds the last."""
    rows = [row for row in material.comparison.rows if row.row in lines]
    if len(rows) <= MANY_ROWS:
        return rows
    column = ranking_column(material.comparison)
    return material.comparison.ranked(column.key, greater_is_better=bool(column.greater_is_better), rows=rows)


def _browser(
    material: Material, lines: Mapping[str, Mapping[str, Mapping[str, object]]], score: FigureColumn
) -> Browser:
    """Return the browser of the first row's examples, at most MOST_EXAMPLES and MOST_PACKED characters of them."""
    ids = list(next(iter(lines.values())))[:MOST_EXAMPLES]
    browser, number = _browser_of(material, lines, ids, score), len(ids)
    while (packed := len(pack(browser))) > MOST_PACKED and number > 1:
        number = max(1, int(0.95 * number * MOST_PACKED / packed))
        browser = _cut(browser, number)
    return browser


def _cut(browser: Browser, number: int) -> Browser:
    """Return the browser of the first examples."""
    examples, *runs = (
        {key: value[:number] if isinstance(value, list) else value for key, value in columns.items()}
        for columns in (browser.data["examples"], *browser.data["runs"])
    )
    return Browser(data={**browser.data, "examples": examples, "runs": runs})


def _browser_of(
    material: Material,
    lines: Mapping[str, Mapping[str, Mapping[str, object]]],
    ids: Sequence[str],
    score: FigureColumn,
) -> Browser:
    by_id, shown = next(iter(lines.values())), _in_order(material, lines)
    data = {
        "score": {"title": short_label(score.title), "greater_is_better": score.greater_is_better},
        "rows": [{"label": short_label(row.label), "accent": material.colors[row.row]} for row in shown],
        "examples": {
            "in_all": len(by_id),
            "ids": [_clean(key, 200) for key in ids],
            "sources": [_clean(source_text(shown[0].record, by_id[key]), LONGEST_SOURCE) for key in ids],
            "references": [_clean(by_id[key].get("reference"), LONGEST_ANSWER) for key in ids],
            "pictures": [embed_picture(shown[0].record, by_id[key]) for key in ids[:MOST_PICTURES]],
        },
        "runs": [
            {"row": place, "seed": run.seed, **_answers(material.predictions[run.run], ids, score.key)}
            for place, row in enumerate(shown)
            for run in row.finished_runs
            if material.predictions.get(run.run)
        ],
    }
    return Browser(data=data)


def _answers(predictions: Predictions, ids: Sequence[str], score: str) -> dict[str, list[Any]]:
    """Return a run's answers and scores in the order of ids; None for those it does not have."""
    texts = {str(line["id"]): line.get("prediction") for line in predictions}
    scores = {key: round(value, 4) for key, value in _values(predictions, score).items()}
    answers = [_clean(texts[key], LONGEST_ANSWER) if key in texts else None for key in ids]
    return {"answers": answers, "scores": [scores.get(key) for key in ids]}


def _clean(text: object, longest: int) -> str:
    return visible(cap("" if text is None else text, longest))


SECTION = Section(name="examples", title="Examples", order=60, render=render_examples)
