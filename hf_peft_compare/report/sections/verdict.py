"""The verdict, the first section; the terminal prints the same sentences."""

from __future__ import annotations

from hf_peft_compare.comparison.verdict import describe_verdict
from hf_peft_compare.report.blocks import Block, Bullets, Material, Section


def render_verdict(material: Material) -> list[Block]:
    """Return the verdict's sentences."""
    return [Bullets(items=describe_verdict(material.comparison))]


SECTION = Section(name="verdict", title="Verdict", order=1, render=render_verdict)
