"""A finished run labels the train texts of another study, once, before anything is trained."""

import json
import shutil
from dataclasses import replace

import pytest
from tiny import LABELS, reviews, write_rows

from hf_peft_compare.cli.main import main
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import parse
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.inference import prediction
from hf_peft_compare.orchestration.changes import changes_since
from hf_peft_compare.orchestration.teachers import label_train_texts
from hf_peft_compare.records.record import read_record, write_record

ROWS = {"majority": {}, "frozen_features": {}}
KEPT = 8  # texts that keep the dataset's labels, so that there are several classes whatever a tiny teacher says


@pytest.fixture
def taught(train, tiny_study, classifying, tmp_path):
    """`taught("key=value", …)`: the config and its origins of a row that trains on labels of a finished run."""
    if not (tmp_path / "teacher").exists():
        train("frozen_features", folder="teacher", **classifying | {"methods": ROWS})

    def make(*overrides, **keys):
        given = (f"labels_from.run={tmp_path / 'teacher'}", f"labels_from.gold_samples={KEPT}", *overrides)
        study = tiny_study(*given, **classifying | {"methods": ROWS} | keys)
        return study.resolve(row="frozen_features", seed=0)

    return make


def test_its_predictions_become_the_labels_and_are_made_once(taught, monkeypatch, tmp_path):
    config, _ = taught()
    label_train_texts([config])
    train = load_examples(replace(config, labels_from=None))["train"]
    texts = [example.source for example in train[KEPT:]]
    told = [row["prediction"] for row in prediction.predict_texts([tmp_path / "teacher"], texts)]
    kept = [example.reference for example in train[:KEPT]]
    assert [example.reference for example in load_examples(config)["train"]] == kept + told
    more, _ = taught("num_train_samples=30")
    asked = []
    original = prediction.predict_texts
    monkeypatch.setattr(
        prediction, "predict_texts", lambda runs, texts, **k: asked.append(texts) or original(runs, texts)
    )
    label_train_texts([config])
    label_train_texts([more])
    assert len(load_examples(more)["train"]) == 30
    assert [len(texts) for texts in asked] == [
        len({e.source for e in load_examples(more)["train"][KEPT:]} - set(texts))
    ]


def test_a_run_with_other_labels_or_that_failed_is_refused(taught, tmp_path):
    others = {"name": "sequence_classification", "labels": [*LABELS[:2], "seen"]}
    config, _ = taught(task=others)
    with pytest.raises(
        UserError, match="whose labels are lost, unclear, found; those of study .* are lost, unclear, seen"
    ):
        label_train_texts([config])
    config, _ = taught()
    record = read_record(tmp_path / "teacher")
    write_record(replace(record, status="failed", error="it broke"), tmp_path / "teacher")
    with pytest.raises(UserError, match="failed .it broke."):
        label_train_texts([config])
    shutil.rmtree(tmp_path / "teacher")
    with pytest.raises(UserError, match="no record"):
        label_train_texts([config])


@pytest.fixture
def asked(monkeypatch):
    """The texts that teachers are asked for."""
    texts = []
    monkeypatch.setattr(prediction, "predict_texts", lambda runs, given, **options: texts.extend(given) or iter(()))
    return texts


def test_a_task_without_labels_has_no_teacher_whatever_the_run(tiny_study, train, tmp_path, asked):
    train("zero_shot", folder="writer", methods={"zero_shot": {}})
    config, _ = tiny_study(f"labels_from.run={tmp_path / 'writer'}").resolve(row="lora", seed=0)
    with pytest.raises(UserError, match="labels_from is set, but task summarization has no labels of its own"):
        label_train_texts([config])
    assert asked == []


def test_nothing_is_labeled_that_could_not_be_trained_on(taught, tmp_path, asked):
    config, _ = taught("labels_from.validation=teacher")
    with pytest.raises(UserError, match="labels_from.validation is teacher, but .* only one that is cut from train"):
        label_train_texts([config])
    rows = [*reviews(30, seed=0), reviews(1, seed=9)[0] | {"text": None}]
    (tmp_path / "gap.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config, _ = taught(f"dataset={tmp_path / 'gap.jsonl'}", "num_train_samples=null", "num_test_samples=2")
    with pytest.raises(UserError, match="the text of row 9-0 is empty"):
        label_train_texts([config])
    assert asked == []


def test_what_predict_writes_is_a_file_of_labels_and_a_change_of_it_trains_again(
    taught, train, classifying, tmp_path, monkeypatch
):
    rows = [{"review": row["text"]} for row in reviews(48, seed=0)]
    write_rows(tmp_path / "new.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    taught()
    assert main("predict teacher --file new.jsonl --column review --output labels.jsonl".split()) == 0
    file = {"labels_from": {"file": "labels.jsonl", "gold_samples": KEPT}}
    keys = classifying | {"methods": ROWS} | file
    record = train("frozen_features", folder="student", **keys)
    facts = record.provenance.train_labels
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    told = {line["text"]: line["prediction"] for line in lines}
    others = load_examples(replace(parse(RunConfig, record.config, where="record"), labels_from=None))["train"][KEPT:]
    assert (facts.num_gold, facts.num_teacher) == (KEPT, 16)
    assert facts.num_right == sum(told[example.source] == example.reference for example in others)
    config = parse(RunConfig, record.config, where="record")
    assert changes_since(config, tmp_path / "student") == []
    write_rows(tmp_path / "labels.jsonl", [line | {"more": 1} for line in lines])
    assert changes_since(config, tmp_path / "student") == []  # the labels are the same
    flipped = [line | {"prediction": LABELS[LABELS.index(line["prediction"]) - 1]} for line in lines]
    write_rows(tmp_path / "labels.jsonl", flipped)
    assert changes_since(config, tmp_path / "student") == ["teacher's labels"]
