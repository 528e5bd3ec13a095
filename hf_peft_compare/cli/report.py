"""`report`: rewrite a study's table and report from its records."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import Commands, above_zero, add_command, add_json, add_study, print_json, study_folder
from hf_peft_compare.config.loading import is_study, load_study
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
    add_json(report, "print results.json, with the path of the report")


def report_command(options: argparse.Namespace) -> int:
    """Rewrite a study's report from its records, without importing torch."""
    from hf_peft_compare.results.result import Result

    wanted = {} if options.smallest_difference is None else {"smallest_difference": options.smallest_difference}
    if (Path(options.study).is_dir() or remote_of(Path(options.study))) and not options.set:
        found = Result.read(study_folder(options.study, options.output_dir))
    else:
        if Path(options.study).is_dir() and not is_study(options.study):
            raise UserError(f"--set changes a study, and {options.study} is a folder of runs; pass the study's file.")
        study = load_study(options.study, options.set).config
        folder = options.output_dir / study.name
        fetch_results(folder)
        if not folder.is_dir():
            where = f"no runs of {study.name} in {shown(options.output_dir)}"
            raise UserError(f"{where}; run it first: hf-peft-compare run {options.study}")
        found = Result.read(folder, study=study)
    result = replace(found, study=replace(found.study, **wanted))
    print_report(result, options.to, pdf=options.pdf, as_json=options.json)
    return OK


def print_report(result: Result, to: Path | None = None, *, pdf: bool = False, as_json: bool = False) -> None:
    """Print a study's table and write its report, into `to` or `report/` beside its runs.

    Args:
        as_json: print the content of its results.json in place of the table, with the outcome of each run, and where
            the report is.

    Raises:
        UserError: LaTeX cannot make the PDF; the report is there, and its path is printed before.
        RunFailed: the disk is full.
    """
    from hf_peft_compare.comparison.console import render_table
    from hf_peft_compare.report.pdf import write_pdf
    from hf_peft_compare.report.results_json import as_tree

    if not as_json:
        print(render_table(result.comparison))
    try:
        page = result.report(to)
    except OSError as error:
        if full := describe_full_disk(to or result.folder, error):
            raise RunFailed(f"the report was not written: {error}{full}") from None
        raise
    remote = remote_of(page.parent)
    compiled, problem = None, None
    try:
        compiled = write_pdf(page.parent) if pdf else None
    except UserError as error:
        problem = error
    if as_json:
        where = {"report": page, "url": remote and remote.url, "pdf": compiled, "outcomes": result.outcomes}
        print_json({**where, **as_tree(result.comparison)})
    else:
        print(f"\nreport: {page}")
        if remote is not None:
            print(f"uploaded to {remote.url}")
        if compiled is not None:
            print(f"pdf: {compiled}")
    if problem is not None:
        raise problem
