"""A teacher of train labels: set for a study or a row, by a run or a file, and unused where a row says gold."""

import pytest

from hf_peft_compare.config.identity import LABELS, identity_of
from hf_peft_compare.config.labels_from import LabelsFrom
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError

FILE = {"labels_from": {"file": "a.jsonl", "use": "gold"}}
ROWS = {
    "gold": {"method": "full"},
    "taught": {"method": "full", "labels_from": {"use": "teacher", "gold_samples": 4}},
    "majority": {},
}


@pytest.fixture
def study(tiny_study, classifying):
    """`study("key=value", …, methods={…})`: a classification study with a teacher that rows may use."""

    def make(*overrides, methods=ROWS, **keys):
        return tiny_study(*overrides, **{**classifying, **FILE, "methods": methods, **keys})

    return make


def teacher(study, row):
    return study.resolve(row=row, seed=0)[0].labels_from


def test_a_row_uses_the_teacher_of_the_study_in_its_own_way(study):
    assert teacher(study(), "taught") == LabelsFrom(file="a.jsonl", use="teacher", gold_samples=4)
    assert teacher(study("labels_from.file=b.jsonl"), "taught") == LabelsFrom(file="b.jsonl", gold_samples=4)
    config, origins = study().resolve(row="taught", seed=0)
    assert origins["labels_from.file"] == "study" and origins["labels_from.gold_samples"] == "study method"


@pytest.mark.parametrize("row", ["gold", "majority"])
def test_a_row_that_does_not_use_it_does_not_depend_on_it(study, row):
    one, other = (study(f"labels_from.file={name}").resolve(row=row, seed=0)[0] for name in ("a.jsonl", "b.jsonl"))
    assert one.labels_from is None and one.hash == other.hash
    both = (study(f"labels_from.file={name}").resolve(row="taught", seed=0)[0] for name in ("a.jsonl", "b.jsonl"))
    assert len({config.hash for config in both}) == 2


def test_a_row_without_teacher_says_whose_choice_that_is(study):
    rows = {
        "null": {"method": "full", "labels_from": None},
        "own": {"method": "full", "labels_from": {"use": "gold"}},
        "majority": {},
    }
    made = study(labels_from={"file": "a.jsonl", "use": "teacher"}, methods=rows)
    for row, layer in {"null": "study method", "own": "study method", "majority": "method"}.items():
        assert teacher(made, row) is None and made.resolve(row=row, seed=0)[1]["labels_from"] == layer
    for row, layer in {"gold": "study", "majority": "study"}.items():
        assert study().resolve(row=row, seed=0)[1]["labels_from"] == layer


def test_a_teacher_that_is_no_settings_is_refused(study):
    with pytest.raises(UserError, match="labels_from"):
        study(methods={"taught": {"method": "full", "labels_from": "a.jsonl"}}).resolve(row="taught", seed=0)


def test_one_file_of_the_study_and_the_command_line_resolves_to_the_same_rows(study):
    changed = study("labels_from.file=b.jsonl", "methods.taught.labels_from.gold_samples=2")
    again = load_study(dict(changed.tree))
    for row in ROWS:
        assert again.resolve(row=row, seed=0)[0] == changed.resolve(row=row, seed=0)[0]
    assert teacher(again, "taught").gold_samples == 2


def test_a_grid_varies_how_many_labels_are_the_datasets(study):
    rows = {
        "taught": {"method": "full", "labels_from": {"use": "teacher"}, "grid": {"labels_from.gold_samples": [2, 4]}}
    }
    made = study(methods=rows)
    assert [teacher(made, row).gold_samples for row in made.config.methods] == [2, 4]


def test_a_method_that_trains_nothing_refuses_a_teacher_of_its_own(study):
    rows = {"majority": {"labels_from": {"file": "a.jsonl"}}}
    with pytest.raises(UserError, match="majority trains nothing that labels could change"):
        study(methods=rows).resolve(row="majority", seed=0)


@pytest.mark.parametrize("given", ["{}", "{run: a, file: b}"])
def test_a_teacher_is_exactly_one_run_or_file(study, given):
    with pytest.raises(UserError, match="expected exactly one of them"):
        study(f"labels_from={given}", labels_from=None)


def test_a_run_that_is_not_there_or_failed_is_no_teacher(tmp_path):
    assert LabelsFrom(run=str(tmp_path)).found is None
    with pytest.raises(UserError, match="no record"):
        _ = LabelsFrom(run=str(tmp_path)).path


def test_the_content_of_the_labels_is_part_of_a_run(study, tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "0-0", "prediction": "lost"}\n')
    config, _ = study(f"labels_from.file={path}").resolve(row="taught", seed=0)
    before = identity_of(config).inputs
    path.write_text('{"id": "0-0", "prediction": "found"}\n')
    assert identity_of(config).inputs[LABELS] != before[LABELS]
