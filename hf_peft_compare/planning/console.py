"""A plan as plain text for a terminal: cost and memory of each row, the totals, and rows that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hf_peft_compare.planning.plan_types import PARTS, PHASES, StudyPlan
from hf_peft_compare.records.plan import RunPlan, total
from hf_peft_compare.utils.formatting import UNKNOWN, format_count, format_megabytes, format_significant
from hf_peft_compare.utils.text_tables import text_table

TITLES = {"weights": "frozen", "trainables": "trained", "optimizer": "optimizer state"}


def render_plan(study: StudyPlan) -> str:
    """Render a plan as two tables, one line per row, and a few sentences."""
    rows = list({plan.row: plan for plan in study.runs}.values())
    tables = [_table("row", COLUMNS, rows), _memory_table([plan for plan in rows if plan.memory])]
    return "\n\n".join(text for text in [*tables, "\n".join(_sentences(study, rows))] if text) + "\n"


COLUMNS: dict[str, Callable[[RunPlan], str]] = {
    "trainable": lambda plan: format_count(plan.trainable_params),
    "parameters": lambda plan: format_count(plan.total_params),
    "peak MB": lambda plan: format_megabytes(plan.memory.peak_bytes if plan.memory else None),
    "tokens": lambda plan: format_count(plan.num_train_tokens),
    "arithmetic": lambda plan: format_flops(plan.total_flops),
    "train": lambda plan: format_duration(total([plan.seconds["train"], plan.seconds["trunk"]])),
    "evaluate": lambda plan: format_duration(total(plan.seconds[phase] for phase in PHASES[2:])),
    "total": lambda plan: format_duration(plan.total_seconds),
}


def _memory_table(plans: Sequence[RunPlan]) -> str:
    if not plans:
        return ""

    def megabytes(part: str) -> Callable[[RunPlan], str]:
        return lambda plan: format_megabytes(plan.memory.at_train_peak.get(part) if plan.memory else None)

    gathered = ["gathered"] if any(plan.memory and "gathered" in plan.memory.at_train_peak for plan in plans) else []
    columns = {TITLES.get(part, part): megabytes(part) for part in [*PARTS, *gathered]}
    columns["in evaluation"] = lambda plan: format_megabytes(plan.memory.evaluation_peak_bytes if plan.memory else None)
    return _table("MB at the peak of training", columns, plans)


def _table(first: str, columns: dict[str, Callable[[RunPlan], str]], plans: Sequence[RunPlan]) -> str:
    rows = ([plan.row, *(write(plan) for write in columns.values())] for plan in plans)
    return text_table([first, *columns], rows, left=[first])


def _sentences(study: StudyPlan, rows: Sequence[RunPlan]) -> list[str]:
    """Return the totals of the study, the rows that do not fit, and the sources of the numbers."""
    runs = _counted(len(study.runs), "run")
    duration, flops = format_duration(study.total_seconds), format_flops(study.total_flops)
    bases = dict.fromkeys(plan.time_basis for plan in rows)
    lines = [
        f"in all: {runs}{_trials(study)}, one after the other {duration} on {_devices(study)}, {flops}",
        *(f"does not fit: {sentence}" for sentence in study.misfits.values()),
        f"time: {'; '.join(bases)}" + ", without communication between processes" * (study.num_processes > 1),
        f"lengths: {rows[0].lengths_basis}",
    ]
    notes: dict[str, list[str]] = {}
    for plan in rows:
        for note in plan.notes:
            notes.setdefault(note, []).append(plan.row)
    return [*lines, *(f"{', '.join(named)}: {note}" for note, named in notes.items())]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _devices(study: StudyPlan) -> str:
    return study.device if study.num_processes == 1 else f"{study.num_processes} × {study.device}"


def _trials(study: StudyPlan) -> str:
    """Return the tuning before the runs, in words."""
    if not study.tuning:
        return ""
    numbers = [plan.num_trials for plan in study.tuning.values()]
    seconds = format_duration(total(plan.seconds for plan in study.tuning.values()))
    rows = _counted(len(numbers), "row")
    known = [number for number in numbers if number is not None]
    trials = f"{sum(known)} tuning trials" if len(known) == len(numbers) else "the tuning"
    return f" and {trials} of {rows} ({seconds})"


def format_flops(flops: float | None) -> str:
    """Format floating-point operations in a readable unit."""
    if flops is None:
        return UNKNOWN
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12)):
        if flops >= size:
            return f"{format_significant(flops / size)} {unit}"
    return f"{format_significant(flops / 1e9)} GFLOP"


def format_duration(seconds: float | None) -> str:
    """Format seconds in a readable unit."""
    if seconds is None:
        return UNKNOWN
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{format_significant(seconds / length)} {unit}"
    return f"{format_significant(seconds)} s"
