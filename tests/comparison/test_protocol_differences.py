"""Settings that a study's rows override may differ between runs; all other differences are reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from small import lines, record

from hf_peft_compare.comparison import compare
from hf_peft_compare.comparison.protocol_differences import describe_disagreements
from hf_peft_compare.comparison.recommendation import Budget, choose
from hf_peft_compare.comparison.verdict import write_pair
from hf_peft_compare.records.record import RunRecord


def trained_on(row: str, size: int, *, train: str | None = None, test: str = "t", **changes: Any) -> RunRecord:
    """Return a record of a run on so many train examples; by default of a grid over their number."""
    config = {"num_train_samples": size, "max_length": 64, "grid": {"num_train_samples": size}}
    provenance = {"data_fingerprint": {"train": train or str(size), "test": test}}
    fields = {"config": config, "provenance": provenance, **changes}
    return record(row, [0.1, 0.2, 0.4, 0.3], **fields)


def sentences(*records: RunRecord) -> list[str]:
    return list(describe_disagreements({made.run: made for made in records}))


def test_a_grid_over_the_number_of_train_samples_is_no_disagreement() -> None:
    assert sentences(trained_on("a", 50), trained_on("b", 150), trained_on("c", 50)) == []


def test_a_rows_own_number_is_none_either_where_the_study_file_says_so() -> None:
    own = {"config": {"num_train_samples": 8, "max_length": 64}}
    assert (
        sentences(trained_on("a", 50), trained_on("b", 8, config_origins={"num_train_samples": "study method"}, **own))
        == []
    )
    (samples, data) = sentences(*(trained_on(row, size, **_undeclared(size)) for row, size in (("b", 8), ("c", 50))))
    assert samples.startswith("Runs differ in num_train_samples: 8 (b-seed0); 50 (c-seed0)")
    assert data.startswith("Runs differ in data train:")


def _undeclared(size: int) -> dict[str, Any]:
    origins = {"num_train_samples": "command line"}
    return {"config": {"num_train_samples": size, "max_length": 64}, "config_origins": origins}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train": "other"}, "Runs differ in data train of 50 samples: 50 (a-seed0); other (b-seed0)."),
        ({"test": "other"}, "Runs differ in data test: t (a-seed0); other (b-seed0)."),
    ],
)
def test_other_data_of_the_same_size_is_a_disagreement(change: dict[str, str], sentence: str) -> None:
    assert sentences(trained_on("a", 50), trained_on("b", 50, **change)) == [sentence]


def test_what_a_grid_does_not_vary_is_a_disagreement_still() -> None:
    other = {"num_train_samples": 150, "max_length": 32, "grid": {"num_train_samples": 150}}
    assert sentences(trained_on("a", 50), trained_on("b", 150, config=other)) == [
        "Runs differ in max_length: 64 (a-seed0); 32 (b-seed0)."
    ]


def test_cells_of_a_grid_are_compared_tested_and_chosen_from() -> None:
    scores = {"few": [0.1, 0.2, 0.1, 0.2, 0.15, 0.1], "many": [0.5, 0.6, 0.7, 0.4, 0.5, 0.6]}
    records = {
        f"{row}-seed0": trained_on(row, size, **_scored(scores[row])) for row, size in (("few", 50), ("many", 150))
    }
    predictions = {f"{row}-seed0": lines(values) for row, values in scores.items()}
    comparison = compare(records, predictions, expected_runs=[("few", 0), ("many", 0)])
    assert comparison.disagreements == ()
    pair = comparison.pair("many", "few")
    assert pair is not None and pair.p_value is not None and "0." in write_pair(pair)
    choice = choose(comparison, Budget())
    assert choice.row is not None and choice.row.row == "many"


def _scored(values: list[float]) -> dict[str, Any]:
    return {"results": {"f": sum(values) / len(values), "test_loss": 2.0}}


TEACHER = {"file": "a.jsonl", "use": "teacher", "validation": "gold"}


def taught(row: str, teacher: dict[str, Any] | None, layer: str, **prints: str) -> RunRecord:
    """Return a record of a run with a teacher, or none, that a layer of its study has set."""
    keys = [f"labels_from.{key}" for key in teacher] if teacher else ["labels_from"]
    return record(
        row,
        [0.1, 0.2],
        config={"labels_from": teacher},
        config_origins=dict.fromkeys(keys, layer),
        provenance={"data_fingerprint": {"train": "gold", "validation": "v", "test": "t", **prints}},
    )


def test_a_study_whose_teacher_labels_train_does_not_disagree_with_its_rows_that_have_the_datasets_labels() -> None:
    student = taught("student", TEACHER, "study", train="told")
    floor, gold = taught("floor", None, "method"), taught("gold", None, "study method")
    assert sentences(student, floor, gold) == []
    assert sentences(taught("cut", TEACHER | {"validation": "teacher"}, "study", train="t", validation="w"), gold) == []


def test_rows_of_studies_with_several_teachers_disagree() -> None:
    student, other = taught("a", TEACHER, "study", train="told"), TEACHER | {"file": "b.jsonl"}
    for row in (taught("b", other, "study", train="else"), taught("b", None, "default")):
        (sentence,) = sentences(student, row)
        assert sentence.startswith("Runs differ in labels_from: {'file': 'a.jsonl'")


def test_a_grid_over_a_part_of_the_labels_is_no_disagreement() -> None:
    cells = [taught(str(n), TEACHER | {"gold_samples": n}, "command line", train=str(n)) for n in (2, 4)]
    made = [replace(cell, config={**cell.config, "grid": {"labels_from.gold_samples": 2}}) for cell in cells]
    assert sentences(*made) == []
