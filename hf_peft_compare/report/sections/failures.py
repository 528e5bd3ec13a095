"""Failed runs with their errors, and runs that have not run yet."""

from __future__ import annotations

from hf_peft_compare.comparison.rows import first_line
from hf_peft_compare.report.blocks import Block, Bullets, Folded, Material, Section


def render_failures(material: Material) -> list[Block]:
    """Return the failed and missing runs; [] if the study is complete."""
    runs = material.comparison.runs
    failed = [run for run in runs if run.status == "failed"]
    missing = [run for run in runs if run.status == "missing"]
    lines = [f"{run.run} failed: {first_line(run.error)}" for run in failed]
    if missing:
        lines.append(f"Not run yet: {', '.join(run.run for run in missing)}.")
    folded = [Folded(title=f"Error of {run.run}", text=run.error or "") for run in failed]
    return [Bullets(items=lines), *folded] if lines else []


SECTION = Section(name="failures", title="Failed and missing runs", order=15, render=render_failures)
