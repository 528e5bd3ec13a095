"""Write a report's folder: pages, tables, figures, and the records they were built from."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.example_scores import Predictions
from hf_peft_compare.comparison.rows import MISSING
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.record import RunRecord, read_record, write_record
from hf_peft_compare.records.run_folder import PREDICTIONS_FILE, RECORD_FILE, STUDY_FILE, run_name, write_predictions
from hf_peft_compare.report.blocks import Block, Charts, Material, Section
from hf_peft_compare.report.charts.drawing import as_file, bundle_vega, draw_chart
from hf_peft_compare.report.charts.style import assign_colors, assign_markers
from hf_peft_compare.report.page import download_links, policy, scripts_for
from hf_peft_compare.report.references import title_of
from hf_peft_compare.report.results_csv import render_csv
from hf_peft_compare.report.results_json import render_json
from hf_peft_compare.report.sections import SECTIONS
from hf_peft_compare.report.templating import environment
from hf_peft_compare.utils.files import atomic_files, check_writable, write_text_atomically
from hf_peft_compare.utils.formatting import UNKNOWN, format_count

if TYPE_CHECKING:
    from hf_peft_compare.config.schema import StudyConfig

PAGES = {"index.html": "html", "README.md": "md", "tables.tex": "tex", "report.tex": "tex"}


def write_report(
    study: StudyConfig,
    records: Mapping[str, RunRecord],
    predictions: Mapping[str, Predictions],
    folder: Path,
    *,
    study_file: str = "",
) -> Path:
    """Write the report of a study, finished or not, and return the path of its index.html.

    The same records produce the same bytes. Runs of the study without a record are marked as not run yet.

    Raises:
        UserError: the folder has a record of one of the runs that no report has written.

    Args:
        records, predictions: by run name; they are copied to `records/<run>/`, so that the report can be rebuilt.
        study_file: the text of the study's file, which is shown, and copied to `records/`; empty if there is none.
    """
    check_writable(folder)
    earlier = _runs_of_report(folder)
    _check_others(records, folder / "records", earlier)
    bundle_vega()  # in parallel to the rest
    material = replace(gather(study, records, predictions), study_file=study_file)
    sections = render_sections(material)
    results = {"results.csv": render_csv(material.comparison.runs), "results.json": render_json(material.comparison)}
    drawn = {
        chart.name: draw_chart(chart)
        for _, blocks in sections
        for block in blocks
        if isinstance(block, Charts)
        for chart in block.charts
    }
    scripts = scripts_for([block for _, blocks in sections for block in blocks])
    page = {
        "study": study,
        "title": title_of(material),
        "facts": list(key_facts(material)),
        "sections": sections,
        "svg": {name: svg for name, (svg, _) in drawn.items()},
        "scripts": scripts,
        "policy": policy(scripts),
        "downloads": download_links(results),
    }
    pages = {name: environment(language).get_template(name).render(page) for name, language in PAGES.items()}
    with atomic_files(folder) as new:
        for name, text in {**pages, **results}.items():
            write_text_atomically(new / name, text)
        for name, (svg, pdf) in drawn.items():
            write_text_atomically(new / "figures" / f"{name}.svg", as_file(svg))
            (new / "figures" / f"{name}.pdf").write_bytes(pdf)
        copy_records(records, predictions, new / "records")
        if study_file:
            write_text_atomically(new / "records" / STUDY_FILE, study_file)
    remove_stale(records, earlier, folder / "records")
    return folder / "index.html"


def gather(study: StudyConfig, records: Mapping[str, RunRecord], predictions: Mapping[str, Predictions]) -> Material:
    """Compare the runs of a study and assign every row its color and marker."""
    expected = [(row, seed) for row in study.methods for seed in study.seeds]
    comparison = compare(records, predictions, expected_runs=expected, smallest_difference=study.smallest_difference)
    return Material(
        study=study,
        records=records,
        predictions=predictions,
        comparison=comparison,
        colors=assign_colors(comparison.rows),
        markers=assign_markers(comparison.rows),
    )


def render_sections(material: Material) -> list[tuple[Section, list[Block]]]:
    """Render every section in order; sections without blocks are left out."""
    sections = sorted(SECTIONS.entries.values(), key=lambda section: (section.order, section.name))
    rendered = [(section, list(section.render(material))) for section in sections]
    return [(section, blocks) for section, blocks in rendered if blocks]


def key_facts(material: Material) -> Iterator[tuple[str, str]]:
    """Yield (term, text) pairs for the page's head: model, data, sizes, seeds and devices, from the records."""
    if not material.records:
        return

    def named(key: str) -> str:  # rows may differ in it
        return ", ".join(dict.fromkeys(str(made.config.get(key, UNKNOWN)) for made in material.records.values()))

    def size(split: str) -> str:
        sizes = {made.config.get(f"num_{split}_samples") for made in material.records.values()}
        ordered = sorted(sizes, key=lambda number: math.inf if number is None else number)
        return " or ".join("all" if number is None else format_count(number) for number in ordered)

    yield "Model", named("model_name_or_path")
    yield "Data", named("dataset")
    yield "Train / validation / test", " / ".join(map(size, ("train", "validation", "test")))
    if loss := _loss_of(material):
        yield "Loss", loss
    yield "Seeds", ", ".join(map(str, material.study.seeds))
    devices = dict.fromkeys(made.provenance.device for made in material.records.values() if made.provenance.device)
    if devices:
        yield "Device", ", ".join(devices)


LOSSES = {
    "nats per token": "cross-entropy of the next token, over the tokens of the completion",
    "nats per example": "cross-entropy over the classes",
}


def _loss_of(material: Material) -> str:
    """Return the loss functions of the rows that train, by name; each head has its own."""
    return "; ".join(f"{LOSSES[unit]} ({unit})" for unit in material.loss_units if unit in LOSSES)


def copy_records(records: Mapping[str, RunRecord], predictions: Mapping[str, Predictions], folder: Path) -> None:
    """Write records and predictions into `folder`."""
    for run, record in records.items():
        write_record(record, folder / run)
        write_predictions(predictions.get(run, ()), folder / run)


def remove_stale(records: Collection[str], earlier: Collection[str], folder: Path) -> None:
    """Delete the records and predictions of other runs that an earlier report left in its folder.

    Args:
        earlier: the runs of the earlier report; whatever else is in the folder stays.
    """
    for stale in sorted(folder.glob("*/")):
        if stale.name in earlier and stale.name not in records and not stale.is_symlink():
            for name in (RECORD_FILE, PREDICTIONS_FILE):
                (stale / name).unlink(missing_ok=True)
            if not any(stale.iterdir()):
                stale.rmdir()


def _runs_of_report(folder: Path) -> set[str]:
    """Return the runs whose records the report in a folder holds; none if it has no results.json of ours."""
    try:
        rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
        runs = [(row["row"], run) for row in rows for run in row["runs"] if run["status"] != MISSING]
        return {run_name(row=row, seed=run["seed"]) for row, run in runs}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _check_others(records: Mapping[str, RunRecord], folder: Path, earlier: Collection[str]) -> None:
    """Raise UserError if the report would overwrite a record that no report has written."""
    for run, record in records.items():
        path = folder / run / RECORD_FILE
        if run not in earlier and path.exists() and not _holds(path.parent, record):
            raise UserError(
                f"{path} was not written by a report, which would overwrite it. Choose another folder for the report "
                f"(--to), or move it away."
            )


def _holds(folder: Path, record: RunRecord) -> bool:
    try:
        return read_record(folder) == record
    except UserError:
        return False
