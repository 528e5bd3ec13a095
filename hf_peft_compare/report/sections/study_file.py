"""The study's file as it ran, and the command that runs it again."""

from __future__ import annotations

from hf_peft_compare.report.blocks import Block, Folded, Material, Paragraph, Section


def render_study_file(material: Material) -> list[Block]:
    """Return the command and the file; [] where the runs were left without one."""
    if not material.study_file:
        return []
    name = f"{material.study.name}.yaml"
    text = f"To run it again, save the file below as {name}: hf-peft-compare run {name}"
    return [Paragraph(text=text), Folded(title=name, text=material.study_file)]


SECTION = Section(name="study_file", title="Study file", order=75, render=render_study_file)
