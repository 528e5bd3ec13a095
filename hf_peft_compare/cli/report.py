"""`report`: a study's table and report, from its records."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import Commands, add_command, add_study
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import StudyConfig
from hf_peft_compare.core.errors import OK, UserError
from hf_peft_compare.records.record import read_runs

if TYPE_CHECKING:
    from hf_peft_compare.comparison import Comparison


def add(commands: Commands) -> None:
    """Add the command."""
    report = add_command(commands, "report", report_command, "write a study's report again, from its records")
    add_study(report)
    report.add_argument("--to", type=Path, metavar="FOLDER", help="where the report goes (default: beside the runs)")


def report_command(options: argparse.Namespace) -> int:
    """Write a study's report again from its records; no torch."""
    study = load_study(options.study, options.set).config
    folder = options.output_dir / study.name
    if not folder.is_dir():
        where = f"no runs of {study.name} in {options.output_dir}"
        raise UserError(f"{where}; begin with: hf-peft-compare run {options.study}")
    print_report(study, folder, options.to)
    return OK


def print_report(study: StudyConfig, folder: Path, target: Path | None = None) -> Comparison:
    """Print a study's table, write its report into `target` or `report/` beside its runs; return the comparison."""
    from hf_peft_compare.comparison import compare
    from hf_peft_compare.comparison.console import render_table
    from hf_peft_compare.report import write_report

    records, predictions = read_runs(folder)
    comparison = compare(records, predictions, expected_runs=study.runs)
    print(render_table(comparison))
    print(f"\nreport: {write_report(study, records, predictions, target or folder / 'report')}")
    return comparison
