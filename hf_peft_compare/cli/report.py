"""`report`: rewrite a study's table and report from its records."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import Commands, above_zero, add_command, add_study, study_folder
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import OK, RunFailed, UserError
from hf_peft_compare.records.remote_runs import fetch_results
from hf_peft_compare.utils.files import describe_full_disk
from hf_peft_compare.utils.remote_folder import remote_of, shown

if TYPE_CHECKING:
    from hf_peft_compare.results.result import Result


def add(commands: Commands) -> None:
    """Add the command."""
    report = add_command(commands, "report", report_command, "rewrite a study's report from its records")
    add_study(report)
    report.add_argument(
        "--to", type=Path, metavar="FOLDER", help="folder of the report (default: report/ beside the runs)"
    )
    report.add_argument("--pdf", action="store_true", help="compile report.pdf too, by pdflatex")
    report.add_argument(
        "--smallest-difference", type=above_zero, metavar="X", help="the smallest that matters (default: the study's)"
    )


def report_command(options: argparse.Namespace) -> int:
    """Rewrite a study's report from its records, without importing torch."""
    from hf_peft_compare.results.result import Result

    wanted = {} if options.smallest_difference is None else {"smallest_difference": options.smallest_difference}
    if (Path(options.study).is_dir() or remote_of(Path(options.study))) and not options.set:
        found = Result.read(study_folder(options.study, options.output_dir))
    else:
        study = load_study(options.study, options.set).config
        folder = options.output_dir / study.name
        fetch_results(folder)
        if not folder.is_dir():
            where = f"no runs of {study.name} in {shown(options.output_dir)}"
            raise UserError(f"{where}; run it first: hf-peft-compare run {options.study}")
        found = Result.read(folder, study=study)
    print_report(replace(found, study=replace(found.study, **wanted)), options.to, pdf=options.pdf)
    return OK


def print_report(result: Result, to: Path | None = None, *, pdf: bool = False) -> None:
    """Print a study's table and write its report, into `to` or `report/` beside its runs."""
    from hf_peft_compare.comparison.console import render_table
    from hf_peft_compare.report.pdf import write_pdf

    print(render_table(result.comparison))
    try:
        page = result.report(to)
    except OSError as error:
        if full := describe_full_disk(to or result.folder, error):
            raise RunFailed(f"the report was not written: {error}{full}") from None
        raise
    print(f"\nreport: {page}")
    if (remote := remote_of(page.parent)) is not None:
        print(f"uploaded to {remote.url}")
    if pdf:
        print(f"pdf: {write_pdf(page.parent)}")
