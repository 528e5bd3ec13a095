"""One card per method: idea, formula, parameters, advice, paper."""

from __future__ import annotations

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.records.parts import MethodCard
from hf_peft_compare.report.blocks import Block, CardBlock, Material, Section

TERMS = {
    "idea": "Idea",
    "parameter_count": "Trained parameters",
    "when_to_use": "When to use it",
    "theory": "Theory",
    "paper": "Paper",
}


def render_methods(material: Material) -> list[Block]:
    """Return the cards in the records, one per method."""
    by_card: dict[MethodCard, list[MethodRow]] = {}
    for row in material.comparison.rows:
        if row.record:
            by_card.setdefault(row.record.card, []).append(row)
    return [_card(card, rows, material.colors[rows[0].row]) for card, rows in by_card.items()]


def _card(card: MethodCard, rows: list[MethodRow], accent: str) -> CardBlock:
    return CardBlock(
        title=card.title or rows[0].row,
        rows=", ".join(row.row for row in rows),
        entries=[(term, text) for key, term in TERMS.items() if (text := getattr(card, key))],
        formula=card.formula,
        url=card.url,
        accent=accent,
    )


SECTION = Section(name="methods", title="Methods", order=80, render=render_methods)
