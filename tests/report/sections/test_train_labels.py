"""Rows that were trained on other labels than the dataset's stand in a table of their own; others in none."""

from synthetic import Study, make_predictions, make_record

from hf_peft_compare.comparison.caveats import describe_caveats
from hf_peft_compare.report.sections.train_labels import render_train_labels
from hf_peft_compare.report.writing import gather

FACTS = {"teacher": "labels.parquet", "num_gold": 20, "num_teacher": 9996, "num_unread": 4, "num_compared": 9996}


def material(facts_by_row):
    runs = {f"{row}-seed0": make_predictions(row) for row in facts_by_row}
    records = {
        f"{row}-seed0": make_record(row, provenance={"train_labels": facts} if facts else {})
        for row, facts in facts_by_row.items()
    }
    return gather(Study(methods=dict.fromkeys(facts_by_row, {})), records, runs)


def test_the_table_has_their_accuracy_and_the_verdict_says_it():
    taught = {**FACTS, "use": "teacher", "num_right": 9493}
    noisy = {**FACTS, "use": "noise", "num_right": 9493}
    shown = material({"lora": taught, "full": noisy, "last_layers": None})
    table, _ = render_train_labels(shown)
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells == {
        "LoRA": ["teacher", "20", "9,996", "0.9497", "4", "dataset's labels", "labels.parquet"],
        "Full fine-tuning": [
            "random mistakes, as many as the teacher's",
            *("20", "9,996", "0.9497", "4", "dataset's labels", "labels.parquet"),
        ],
    }
    caveats = "\n".join(describe_caveats(shown.comparison))
    assert "LoRA (label accuracy 0.9497) and Full fine-tuning (label accuracy 0.9497, random mistakes)" in caveats
    assert "chosen on validation labels of the dataset's own: LoRA." in caveats
    assert shown.comparison.row("lora").figures["label_accuracy"] == 9493 / 9996


def test_a_study_on_the_labels_of_its_dataset_has_neither():
    shown = material({"lora": None, "full": None})
    assert render_train_labels(shown) == []
    assert "labels" not in "\n".join(describe_caveats(shown.comparison))
