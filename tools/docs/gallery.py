"""The published reports: one row each, from the figures that stand beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hf_peft_compare.records.record import RunRecord, read_records
from hf_peft_compare.utils.formatting import format_count, format_significant
from hf_peft_compare.utils.markdown import table
from tools.docs.markdown import prose

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"


def gallery() -> str:
    """List the published reports."""
    rows = [_row(folder) for folder in sorted(REPORTS.iterdir()) if (folder / "results.json").is_file()]
    return table(
        ("study", "model", "data: train / validation / test", "with 95 % confidence", "all runs, summed"), rows
    )


def _row(folder: Path) -> tuple[str, ...]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    records = list(read_records(folder / "records").values())
    best = results["verdict"][0].removeprefix("With 95 % confidence, ").partition(". ")[0].rstrip(".")
    link = f"[{folder.name}](../reports/{folder.name}/README.md)"
    return link, _model(records), _data(records[0]), prose(best[0].upper() + best[1:]), _cost(records)


def _model(records: list[RunRecord]) -> str:
    """Return the name of the base, without its folder, and its size: what a row adds is not the base's."""
    name = Path(records[0].config["model_name_or_path"]).name
    size = min(record.parameters.total_params for record in records if record.parameters)
    return f"{prose(name)}, {format_count(size)} parameters"


def _data(record: RunRecord) -> str:
    sizes = " / ".join(format_count(size) for size in record.provenance.num_examples.values())
    return f"{prose(Path(record.config['dataset']).name)}: {sizes}"


def _cost(records: list[RunRecord]) -> str:
    """Return the time of all runs one after the other, and of the search for their settings."""
    searches = {record.row: record.tuning.seconds for record in records if record.tuning}
    runs = f"{format_significant(round(sum(record.seconds.total for record in records) / 60, 1))} min"
    return runs + (f", search {format_significant(round(sum(searches.values()) / 60, 1))} min" if searches else "")
