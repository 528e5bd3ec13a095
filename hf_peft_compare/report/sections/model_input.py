"""One example as each method reads it: the text, and what of it is learned."""

from __future__ import annotations

from hf_peft_compare.report.blocks import Block, Folded, Material, Paragraph, Section
from hf_peft_compare.utils.formatting import join_words


def render_model_input(material: Material) -> list[Block]:
    """Return the first example as rows read it, once for rows that read the same; [] in records of older versions."""
    rows: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for row in material.comparison.finished_rows:
        example = row.record.provenance.example_input if row.record is not None else {}
        if example:
            rows.setdefault(tuple(example.items()), []).append(row.label)
    if not rows:
        return []
    what = "The first example as the model reads it, special tokens included; what is only read has no loss."
    shown = [
        Folded(title=join_words(labels), text="\n\n".join(f"{part}:\n{text}" for part, text in example))
        for example, labels in rows.items()
    ]
    return [Paragraph(text=what, muted=True), *shown]


SECTION = Section(name="model_input", title="What the model reads", order=60, render=render_model_input)
