"""The efficiency section: what training took, where the records know it."""

import pytest
from synthetic import Study, make_predictions, make_record

from hf_peft_compare.report.blocks import Table
from hf_peft_compare.report.sections.efficiency import render_efficiency
from hf_peft_compare.report.writing import gather

PARTS = {"weights_bytes": 500_000_000, "gradients_bytes": 18_874_368, "optimizer_bytes": 37_748_736}


def breakdown(memory):
    """The table of parts of a study of LoRA and the lead of the text; None where there is none."""
    records = {"lora-seed0": make_record("lora", memory=memory), "lead-seed0": make_record("lead", memory={})}
    predictions = {run: make_predictions(run.removesuffix("-seed0")) for run in records}
    blocks = render_efficiency(gather(Study(methods={"lora": {}, "lead": {}}), records, predictions))
    return next((b for b in blocks if isinstance(b, Table) and b.name == "memory-breakdown"), None)


@pytest.mark.parametrize(("activations", "shown"), [(2_345_678_901, "2,346"), (None, "–")])
def test_every_part_is_shown_in_megabytes_and_what_is_unknown_as_a_dash(activations, shown):
    table = breakdown({**PARTS, "activations_bytes": activations})
    assert [column.title for column in table.columns[1:]] == ["Weights", "Gradients", "Optimizer", "Activations"]
    lines = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert lines == {"LoRA": ["500", "18.9", "37.7", shown], "Lead-3": ["–"] * 4}


def test_records_without_parts_have_no_such_table():
    assert breakdown({"resident_peak_bytes": 1_000_000}) is None
