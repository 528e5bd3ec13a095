"""Train labels that are not the dataset's: whose they are, how many are right, and what validation was done on."""

from __future__ import annotations

from hf_peft_compare.records.train_labels import TrainLabels
from hf_peft_compare.report.blocks import Block, Material, Paragraph, Section, text_table
from hf_peft_compare.utils.formatting import format_count, format_rate

WHAT = (
    "Label accuracy: the share of the labels in place of the dataset's that agree with it, where it has one. A teacher "
    "errs systematically; as many random mistakes show how much that matters. Texts whose "
    "answer could not be read are left out. Test labels are the dataset's in every row."
)


def render_train_labels(material: Material) -> list[Block]:
    """Return a table of the rows that were trained on other labels than the dataset's; [] if there are none."""
    rows = material.comparison.finished_rows
    facts = {row.label: row.record.provenance.train_labels for row in rows if row.record is not None}
    lines = [[label, *_cells(labels)] for label, labels in facts.items() if labels is not None]
    if not lines:
        return []
    header = ["Method", "Labels", "From the dataset", "Others", "Label accuracy", "Not read", "Validation", "Teacher"]
    caption = "Where train labels come from."
    return [
        text_table(name="train-labels", caption=caption, header=header, rows=lines),
        Paragraph(text=WHAT, muted=True),
    ]


def _cells(labels: TrainLabels) -> list[str]:
    return [
        "teacher" if labels.use == "teacher" else "random mistakes, as many as the teacher's",
        format_count(labels.num_gold),
        format_count(labels.num_teacher),
        format_rate(labels.accuracy),
        format_count(labels.num_unread),
        f"{'dataset' if labels.validation == 'gold' else 'teacher'}'s labels",
        labels.teacher,
    ]


SECTION = Section(name="train_labels", title="Train labels", order=42, render=render_train_labels)
