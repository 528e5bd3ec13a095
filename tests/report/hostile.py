"""Texts that a page must not take literally, in every place that data, models and configs can reach."""

from __future__ import annotations

from typing import Any

from synthetic import References, Study, make_failed, make_predictions, make_record

from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

SCRIPT = "<script>document.title='owned';alert(1)</script>"
TEXTS = [
    SCRIPT,
    "<img src=http://attacker.invalid/x.png onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'><style>body{display:none}</style>",
    "{{ 7 * 7 }} {% include 'x' %} <<7*7>> <% raise %> {# c #} <# c #>",
    r"\input{/etc/passwd} \write18{id} \end{document} ^^5cinput{x} $x^2^3$ % # & ~ _ ^ { } [ ] ,, -- `` ''",
    "| a | b |\n| --- | --- |\n# heading\n```\n</details></table>",
    "😀👩‍👩‍👧 شكرا جزيلا \u202eevil\u202c 汉字 ﷽ é ß Ž α",
    "\x00\x01\x07\x1b[31m\x7f\x9b\ufffe bell",
    "javascript:alert(1)",
    "A" * 100_000,
    "word " * 20_000,
    "_leading underscore $",
    "$$ \\frac{",
    "",
]
EVERYTHING = " ".join(text for text in TEXTS if len(text) < 1000)
ROWS = ("lora", "full", "lead", "<b>row</b> & $x_1$ | \\par")


def hostile_study() -> Study:
    """Return a study whose every text is hostile."""
    references = References(source=EVERYTHING, rows={"lora": {"rougeL_fmeasure": 0.1}, SCRIPT: {}}, differences=TEXTS)
    return Study(
        name=EVERYTHING,
        title=EVERYTHING,
        description=EVERYTHING * 3,
        methods={row: {} for row in ROWS},
        references=references,
    )


def hostile_runs() -> tuple[dict[str, RunRecord], dict[str, list[dict[str, Any]]]]:
    """Return records and predictions whose every text is hostile; one run failed with a hostile error."""
    predictions = {run_name(row=row, seed=0): _lines(row) for row in ROWS}
    records = {run_name(row=row, seed=0): _record(row, predictions[run_name(row=row, seed=0)]) for row in ROWS}
    records["full-seed0"] = make_failed("full", error=EVERYTHING + "\n" + "E" * 50_000)
    return records, predictions


def _lines(row: str) -> list[dict[str, Any]]:
    lines = make_predictions(row, num_examples=len(TEXTS))
    for line, text in zip(lines, TEXTS, strict=True):
        line.update(id=f"{text[:50]}{line['id']}", source=text, reference=text, prediction=text)
    return lines


def _record(row: str, lines: list[dict[str, Any]]) -> RunRecord:
    made = make_record(row, predictions=lines)
    config = {**made.config, "dataset": EVERYTHING, EVERYTHING: EVERYTHING, "a": TEXTS, "b": {SCRIPT: row}}
    card = {
        **dict.fromkeys(vars(made.card), EVERYTHING),
        "title": f"{row} {EVERYTHING}",
        "url": f"javascript:{EVERYTHING}",
    }
    changes: dict[str, Any] = {
        "config": config,
        "config_origins": {"b." + SCRIPT: SCRIPT, "a": SCRIPT},
        "card": {**card, "formula": r"x \input{/etc/passwd} </script>" if row == "lora" else r"\frac{"},
        "scores": {name: {**vars(about), "title": f"{about.title} {SCRIPT}"} for name, about in made.scores.items()},
        "notes": TEXTS,
        "provenance": {**vars(made.provenance), "device": EVERYTHING, "versions": {SCRIPT: EVERYTHING}, "python": row},
    }
    return make_record(row, predictions=lines, **changes)
