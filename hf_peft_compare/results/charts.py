"""Charts of a result: an SVG that needs no script, in a notebook and in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_peft_compare.comparison.columns import ranking_column
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.report.blocks import Chart, Material
from hf_peft_compare.report.charts.drawing import as_file, draw_chart
from hf_peft_compare.report.charts.scatter import scatter_chart
from hf_peft_compare.utils.files import atomic_path, write_text_atomically

QUALITY, PEAK_MEMORY = "quality", "peak_memory"  # what studies call otherwise: the ranking score, the memory column
SHORT_NAMES = {
    "parameters": "trainable_params",
    "train_time": "train_seconds",
    "checkpoint": "checkpoint_bytes",
    "latency": "latency_1_seconds",
}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing: `svg` is shown in a notebook; `spec` is its Vega-Lite specification, for altair and others."""

    spec: dict[str, Any] = field(repr=False)
    svg: str = field(repr=False)
    pdf: bytes = field(repr=False)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the drawing as a .svg or .pdf file; return its path."""
        path = Path(path)
        if path.suffix == ".svg":
            write_text_atomically(path, self.svg)
        elif path.suffix == ".pdf":
            with atomic_path(path) as temporary:
                temporary.write_bytes(self.pdf)
        else:
            raise UserError(f"plot file {path} is {path.suffix or 'without suffix'}; expected .svg or .pdf.")
        return path


def draw_scatter(material: Material, up: str, across: str, *, memory_key: str) -> Plot:
    """Draw every row as a point between two figures, with the front of what no other row beats in both.

    Raises:
        UserError: nothing to draw yet, or a figure that no row has; the nearest is named.
    """
    if material.comparison.ranking_score is None:
        raise UserError("no run has finished, so there is nothing to plot; run the study first.")
    names = {**SHORT_NAMES, QUALITY: ranking_column(material.comparison).key, PEAK_MEMORY: memory_key}
    scatter = scatter_chart(material, description=f"{up} against {across}")
    keys = {axis: names.get(axis, axis) for axis in (up, across)}
    for axis, key in keys.items():
        if key not in scatter.up:
            known = [short for short, name in names.items() if name in scatter.up]
            raise unknown("figure to plot", axis, [*known, *scatter.up])
    spec = scatter.printed(across=keys[across], up=keys[up])
    svg, pdf = draw_chart(Chart(name="plot", alt=f"{up} against {across}", spec=spec))
    return Plot(spec=spec, svg=as_file(svg), pdf=pdf)
