"""Scores by group: means over examples and seeds, the best marked, and how many examples there are of each."""

from dataclasses import replace

import pytest
from synthetic import Study, make_predictions, make_record

from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.report.sections.groups import render_groups
from hf_peft_compare.report.writing import gather

GROUPS = ["color", "number", "object"]
COUNTS = {"train": {"object": 1200, "color": 30}, "test": {"number": 13, "color": 14, "object": 13}}


def grouped(row, *, seed=0):
    """Return predictions of a run, every third example of a group; the ranking score encodes row, group and seed."""
    lines = make_predictions(row, seed=seed)
    level = {"lora": 0.3, "full": 0.2}[row]
    for index, line in enumerate(lines):
        line["group"] = GROUPS[index % 3]
        line["scores"]["rougeL_fmeasure"] = level + 0.1 * (index % 3) + (0.1 if seed else 0.0)
    return lines


@pytest.fixture
def tables():
    """The section's tables of a study of LoRA with two seeds and full fine-tuning with one."""
    predictions = {
        f"{row}-seed{seed}": grouped(row, seed=seed) for row, seed in (("lora", 0), ("lora", 1), ("full", 0))
    }
    records = {}
    for run, lines in predictions.items():
        row, seed = run.split("-seed")
        records[run] = make_record(row, seed=int(seed), predictions=lines, provenance={"groups": COUNTS})
    study = Study(methods={"lora": {}, "full": {}}, seeds=[0, 1])
    return render_groups(gather(study, records, predictions))


def test_every_group_has_its_mean_over_examples_and_seeds(tables):
    means, _ = tables
    assert [column.title for column in means.columns] == ["Method", *GROUPS]
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in means.rows}
    assert cells["LoRA"] == ["0.350", "0.450", "0.550"] and cells["Full fine-tuning"] == ["0.200", "0.300", "0.400"]
    assert all(cell.best for cell in means.rows[0][1:]) and not any(cell.best for cell in means.rows[1][1:])


def test_examples_are_counted_by_group_and_split(tables):
    _, sizes = tables
    assert [column.title for column in sizes.columns] == ["Split", *GROUPS, "all"]
    assert [[cell.text for cell in row] for row in sizes.rows] == [
        ["train", "30", "0", "1,200", "1,230"],
        ["test", "14", "13", "13", "40"],
    ]


def test_examples_without_groups_have_no_such_section():
    predictions = {"lora-seed0": make_predictions("lora")}
    records = {"lora-seed0": make_record("lora")}
    assert render_groups(gather(Study(methods={"lora": {}}), records, predictions)) == []


def test_the_mean_of_contributions_to_f1_is_not_the_f1_of_a_group():
    lines = grouped("lora")
    for index, line in enumerate(lines):
        line["scores"] = {"f1_macro": 1.1, "accuracy": 1.0 - index % 3 / 2}
    about = {"f1_macro": {"title": "Macro F1"}, "accuracy": {"title": "Accuracy"}}
    record = replace(make_record("lora"), scores={name: ScoreDescription(**of) for name, of in about.items()})
    record = replace(record, results={"f1_macro": 0.6, "accuracy": 0.5})
    study = Study(methods={"lora": {}})
    (table,) = render_groups(gather(study, {"lora-seed0": record}, {"lora-seed0": lines}))
    assert table.caption == "Accuracy by group of test examples."
    assert [cell.text for cell in table.rows[0][1:]] == ["1.000", "0.500", "0.000"]
