"""Plan against measured: the estimated cost of every row before it ran, and the error of the estimate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hf_peft_compare.comparison import MethodRow
from hf_peft_compare.comparison.columns import CUDA_PEAK
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.report.blocks import Block, Cell, Column, Material, Section, Table
from hf_peft_compare.utils.formatting import UNKNOWN, format_count, format_megabytes, format_seconds

HELD = ("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One figure: its title, its number format, and how to read it from plan and record."""

    title: str
    write: Callable[[float | None], str]
    planned: Callable[[RunRecord], float | None]
    measured: Callable[[RunRecord], float | None]


def render_plan(material: Material) -> list[Block]:
    """Return a table of planned and measured cost and the error for every finished planned training; [] if none."""
    runs = [
        (row, run.record)
        for row in material.comparison.rows
        for run in row.finished_runs
        if run.record is not None and run.record.plan is not None and run.record.plan.num_train_steps != 0
    ]
    if not runs:
        return []
    records = [record for _, record in runs]
    shown = [estimate for estimate in estimates(records) if any(estimate.measured(r) is not None for r in records)]
    rows = [
        [
            Cell(text=_label(row, record), accent=material.colors[row.row]),
            *(_cell(estimate, record) for estimate in shown),
        ]
        for row, record in runs
    ]
    header = [Column(title="Method", numeric=False), *(Column(title=estimate.title) for estimate in shown)]
    caption = "Planned before the run; small: the measured value, and the error of the plan."
    return [Table(name="plan", caption=caption, columns=header, rows=rows, notes=_notes(records))]


def estimates(records: Sequence[RunRecord]) -> list[Estimate]:
    """Return the figures that plans and records share, with peak memory on a GPU and the sizes of tensors."""
    found = [
        Estimate(
            title="Trainable parameters",
            write=format_count,
            planned=lambda record: record.plan.trainable_params if record.plan else None,
            measured=lambda record: record.parameters.trainable_params if record.parameters else None,
        ),
        Estimate(
            title="Tokens",
            write=format_count,
            planned=lambda record: record.plan.num_train_tokens if record.plan else None,
            measured=lambda record: record.throughput.num_train_tokens,
        ),
        Estimate(
            title="Training GFLOP",
            write=lambda flops: format_megabytes(None if flops is None else flops / 1e3),
            planned=lambda record: _scaled(record, record.plan.flops.get("train") if record.plan else None),
            measured=lambda record: record.throughput.train_flops,
        ),
        Estimate(
            title="Training (s)",
            write=format_seconds,
            planned=planned_seconds,
            measured=lambda record: record.seconds.train,
        ),
    ]
    if any(record.memory.train_peak_allocated_bytes is not None for record in records):
        found.append(_memory_estimate("Peak GPU memory (MB)", "train_peak_bytes", CUDA_PEAK))
    return [*found, *(_memory_estimate(f"{key.split('_')[0].capitalize()} (MB)", key, key) for key in HELD)]


def _memory_estimate(title: str, planned: str, measured: str) -> Estimate:
    """Return an estimate of bytes by their names in the plan and in the record."""
    return Estimate(
        title=title,
        write=format_megabytes,
        planned=lambda record: getattr(record.plan.memory, planned) if record.plan and record.plan.memory else None,
        measured=lambda record: getattr(record.memory, measured),
    )


def planned_seconds(record: RunRecord) -> float | None:
    """Return the planned seconds of training, with those of the frozen trunk's states if this run computed them."""
    if record.plan is None:
        return None
    seconds = _scaled(record, record.plan.seconds.get("train"))
    filled_here = record.trunk_cache is not None and record.run in record.trunk_cache.filled_by
    trunk = record.plan.seconds.get("trunk") if filled_here else 0
    return None if seconds is None or trunk is None else seconds + trunk


def _scaled(record: RunRecord, planned: float | None) -> float | None:
    """Scale a planned value for all steps to the steps done before training stopped early."""
    seen, expected = record.throughput.num_train_tokens, record.plan.num_train_tokens if record.plan else None
    return planned * min(seen / expected, 1) if planned is not None and seen and expected else planned


def _cell(estimate: Estimate, record: RunRecord) -> Cell:
    planned, measured = estimate.planned(record), estimate.measured(record)
    if not measured:  # this run did none of it
        return Cell(text=UNKNOWN)
    return Cell(text=estimate.write(planned), details=[estimate.write(measured), _error(planned, measured)])


def _error(planned: float | None, measured: float) -> str:
    if planned is None:
        return UNKNOWN
    return "exact" if planned == measured else f"{100 * (planned - measured) / measured:+.1f} %".replace("-", "−")


def _label(row: MethodRow, record: RunRecord) -> str:
    return row.label if len(row.runs) == 1 else f"{row.label}, seed {record.seed}"


def _notes(records: Sequence[RunRecord]) -> list[str]:
    """Return notes on the sources of the estimates."""
    plans = [record.plan for record in records if record.plan is not None]
    bases = dict.fromkeys(f"{plan.time_basis}, for {plan.device}" for plan in plans)
    return [
        f"Time: {'; '.join(bases)}.",
        f"Lengths of texts: {'; '.join(dict.fromkeys(plan.lengths_basis for plan in plans))}.",
        "If training stopped early, planned FLOPs and time are scaled to the tokens it saw. Measured FLOPs are counted "
        "in a few micro-batches and scaled to all by their size. 1 MB = 10⁶ bytes.",
    ]


SECTION = Section(name="plan", title="Plan against measured", order=55, render=render_plan)
