"""Quality against cost, the four timers, and memory by phase."""

from __future__ import annotations

import math

from hf_peft_compare.comparison import Comparison, MethodRow
from hf_peft_compare.comparison.columns import FigureColumn, has_cuda, memory_column, score_column
from hf_peft_compare.report.blocks import Block, Chart, Charts, Material, Section
from hf_peft_compare.report.charts.scatter import Scatter, scatter_chart
from hf_peft_compare.report.sections.comparison import figure_table
from hf_peft_compare.utils.formatting import format_count, format_megabytes, format_seconds

PROMPT_TOKENS = "prompt_tokens_per_example"
AFTER_TRAINING = "allocated_after_training_bytes"  # unknown in older records


def render_efficiency(material: Material) -> list[Block]:
    """Return charts of the ranking score over parameters, time and memory, and tables of all times and memories."""
    comparison = material.comparison
    if comparison.best_row is None:
        return []
    memory = memory_column(comparison)
    scatter = scatter_chart(material, description=f"{_title(comparison)} of every method against a cost")
    charts = [
        _chart(material, scatter, key="trainable_params", words="trainable parameters", name="quality_parameters"),
        _chart(material, scatter, key="train_seconds", words="training time (s)", name="quality_time"),
        _chart(
            material, scatter, key=memory.key, words=memory.title[0].lower() + memory.title[1:], name="quality_memory"
        ),
    ]
    caption = (
        f"{_title(comparison)} against cost. Bars: 95 % interval. Dashed lines: methods without "
        "training. Dotted line: the Pareto front."
    )
    shown = [chart for chart in charts if chart is not None]
    if not shown:
        return _tables(material)
    return [Charts(charts=shown, caption=caption, live=scatter.live), *_tables(material)]


def _chart(material: Material, scatter: Scatter, *, key: str, words: str, name: str) -> Chart | None:
    """Return a scatter chart of the ranking score over one cost, or None if no trained row has that cost."""
    rows = [row for row in material.comparison.finished_rows if _drawable(material.comparison, row)]
    if not any(_cost(row, key) for row in rows if not row.floor):
        return None
    return Chart(
        name=name,
        alt=f"{_title(material.comparison)} of {', '.join(row.label for row in rows)} against {words}",
        spec=scatter.printed(across=key, up=str(material.comparison.ranking_score)),
    )


def _drawable(comparison: Comparison, row: MethodRow) -> bool:
    return math.isfinite(row.figures.get(str(comparison.ranking_score), math.nan))


def _cost(row: MethodRow, key: str) -> float | None:
    value = row.figures.get(key)
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _tables(material: Material) -> list[Block]:
    """Return the tables of times and of memory, and of the memory breakdown if some row has one."""
    clocks = [
        FigureColumn(key=f"{clock}_seconds", title=f"{clock.capitalize()} (s)", write=format_seconds)
        for clock in ("train", "evaluation", "save", "load")
    ]
    rates = {"train_tokens_per_second": "Trained tokens/s", "generated_tokens_per_second": "Generated tokens/s"}
    if any(PROMPT_TOKENS in row.figures for row in material.comparison.rows):
        rates[PROMPT_TOKENS] = "Prompt tokens per test example"
    columns = [*clocks, *(FigureColumn(key=key, title=title, write=format_count) for key, title in rates.items())]
    note = "Train time counts training steps only: evaluation, saving and loading are timed separately."
    prompts = (
        "Prompt tokens, including instruction and few-shot examples, are processed for each example; training is a "
        "one-time cost."
    )
    return [
        figure_table(
            material,
            name="clocks",
            caption="Times and throughput.",
            columns=columns,
            notes=[note, *([prompts] if PROMPT_TOKENS in rates else [])],
        ),
        _memory_table(material),
        *_breakdown_tables(material),
    ]


def _memory_table(material: Material) -> Block:
    titles = {
        "baseline_bytes": "Baseline",
        "train_peak_allocated_bytes": "Train, allocated",
        "train_peak_reserved_bytes": "Train, reserved",
        AFTER_TRAINING: "After training, allocated",
        "evaluation_peak_allocated_bytes": "Evaluation, allocated",
        "evaluation_peak_reserved_bytes": "Evaluation, reserved",
    }
    resident = {"resident_peak_bytes": "Resident peak"}
    cuda = has_cuda(material.comparison)
    columns = [
        FigureColumn(key=key, title=title, write=format_megabytes)
        for key, title in ({**titles, **resident} if cuda else resident).items()
        if key != AFTER_TRAINING or any(key in row.figures for row in material.comparison.rows)
    ]
    about = (
        "GPU peaks are measured above the baseline, the memory allocated before the run loaded anything."
        if cuda
        else "GPU memory: no CUDA device."
    )
    notes = [about, "Resident peak: main memory of the whole process, over all phases."]
    return figure_table(material, name="memory", caption="Memory in MB of 10⁶ bytes.", columns=columns, notes=notes)


def _breakdown_tables(material: Material) -> list[Block]:
    """Return a table of the memory of each part of training; [] if no row has it."""
    titles = {
        "weights_bytes": "Weights",
        "gradients_bytes": "Gradients",
        "optimizer_bytes": "Optimizer",
        "activations_bytes": "Activations",
    }
    if not any(titles.keys() & row.figures.keys() for row in material.comparison.rows):
        return []
    note = (
        "Tensors only, counted one by one: activations are those that the backward pass of the largest micro-batch "
        "needs. Temporary results and the allocator's cache are in the peaks only."
    )
    columns = [FigureColumn(key=key, title=title, write=format_megabytes) for key, title in titles.items()]
    caption = "Memory of training by part, in MB of 10⁶ bytes."
    return [figure_table(material, name="memory-breakdown", caption=caption, columns=columns, notes=[note])]


def _title(comparison: Comparison) -> str:
    return str(score_column(comparison, str(comparison.ranking_score)).title)


SECTION = Section(name="efficiency", title="Quality against cost", order=50, render=render_efficiency)
