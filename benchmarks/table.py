"""The results: one line per ratio, rendered as Markdown."""

from __future__ import annotations

import platform
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.records import provenance
from hf_peft_compare.utils.markdown import table

MAX_LOSS_DIFFERENCE = 1e-5
SIDES = ("ours", "plain recipe")


class Skipped(Exception):
    """A benchmark that cannot be measured here, and why."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Args:
        name: what is measured.
        ours, plain: medians in `unit`; plain None: there is no comparison.
        unit: a key of UNITS.
        ratio: how much better ours is; None: not a ratio.
        spread: the lowest and the highest ratio of single turns.
        aim: the target, as text; empty: none.
        met: whether the target is reached.
        note: further information.
    """

    name: str
    ours: float | None
    plain: float | None = None
    unit: str = "s"
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    aim: str = ""
    met: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Args:
        name: the key on the command line.
        title: the heading of its table.
        about: a description of both sides, in a sentence or two.
        run: `run(quick) -> [Row]`; quick: small sizes that take seconds, with meaningless figures.
        sides: names of the two sides in the table.
    """

    name: str
    title: str
    about: str
    run: Callable[[bool], list[Row]]
    sides: Sequence[str] = SIDES


def compare_seconds(
    name: str, ours: Sequence[float], plain: Sequence[float], *, aim: float | None = None, note: str = ""
) -> Row:
    """Compare the seconds of alternating turns: the ratio of the medians, and the spread of the single ratios.

    Args:
        aim: the lowest acceptable ratio.
    """
    ratios = [p / o for o, p in zip(ours, plain, strict=True)]
    seconds = statistics.median(ours), statistics.median(plain)
    ratio = seconds[1] / seconds[0]
    return Row(
        name=name,
        ours=seconds[0],
        plain=seconds[1],
        ratio=ratio,
        spread=(min(ratios), max(ratios)),
        aim="" if aim is None else f"≥ {aim:g}",
        met=aim is not None and ratio >= aim,
        note=note,
    )


def same_losses(
    name: str, ours: Sequence[Any], plain: Sequence[Any], *, max_difference: float = MAX_LOSS_DIFFERENCE
) -> str:
    """Return a note on the largest difference between both sides' losses; different work must not be compared.

    Raises:
        RunFailed: the losses differ by more than `max_difference`, or are missing.
    """
    pairs = list(zip(losses_of(ours), losses_of(plain), strict=True))
    differences = [abs(o - p) for o, p in pairs]
    if not pairs or not all(difference <= max_difference for difference in differences):
        raise RunFailed(f"{name}: losses (ours, plain) differ: {pairs}; both sides must do the same work.")
    return f"{len(pairs)} losses, at most {max(differences):.0e} apart"


def losses_of(results: Sequence[Any]) -> list[float]:
    """Return the losses of a Trainer's turns, in order."""
    return [loss for result in results for loss in result["losses"]]


def head(command: str) -> str:
    """Return what is needed to reproduce the figures: command, machine, versions, commit."""
    found = provenance.collect(precision="fp32", num_processes=1)
    versions = ", ".join(f"{name} {found.versions[name]}" for name in ("torch", "transformers", "peft"))
    commit = f"{found.commit or 'unknown'}{' (files differ from it)' if found.dirty else ''}"
    lines = {
        "command": f"`{command}`",
        "machine": f"{found.device}, {processor()}, {torch.get_num_threads()} threads, {found.platform}",
        "versions": f"Python {found.python}, {versions}",
        "commit": commit,
        "started": str(found.started_at),
    }
    return "# Benchmarks\n\n" + "".join(f"- {name}: {text}\n" for name, text in lines.items())


def processor() -> str:
    """Return the processor's model name on Linux, elsewhere its architecture."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def section(benchmark: Benchmark, *, quick: bool) -> str:
    """Run a benchmark and return its section of the results."""
    try:
        body = markdown(benchmark.run(quick), sides=benchmark.sides)
    except Skipped as reason:
        body = f"Skipped: {reason}."
    warning = "Quick: sizes are small, and the figures are meaningless.\n\n" if quick else ""
    return f"## {benchmark.title}\n\n{benchmark.about}\n\n{warning}{body}\n"


def markdown(rows: Sequence[Row], *, sides: Sequence[str] = SIDES) -> str:
    """Render rows as a Markdown table; `sides` names its two columns of amounts."""
    return table(["", *sides, "ratio", "spread", "aim", ""], map(_cells, rows))


def _cells(row: Row) -> list[str]:
    spread = "" if row.spread is None else f"{row.spread[0]:.2f} to {row.spread[1]:.2f}"
    aim = f"{row.aim}: {'yes' if row.met else 'no'}" if row.aim else ""
    ratio = "" if row.ratio is None else f"**{row.ratio:.2f}**"
    return [row.name, *(format_amount(a, row.unit) for a in (row.ours, row.plain)), ratio, spread, aim, row.note]


def format_amount(amount: float | None, unit: str) -> str:
    """Format an amount with its unit; "–" if it is unknown.

    Args:
        unit: a key of UNITS.
    """
    return "–" if amount is None else UNITS[unit](amount)


UNITS: Mapping[str, Callable[[float], str]] = {
    "s": lambda s: f"{s:.3g} s" if s >= 1 else f"{1000 * s:.3g} ms",
    "bytes": lambda b: f"{b / 1e6:,.0f} MB",
    "loss": lambda loss: f"{loss:.4f}",
    "FLOP/s": lambda f: f"{f / 1e12:,.0f} TFLOP/s" if f >= 1e13 else f"{f / 1e9:,.1f} GFLOP/s",
}
