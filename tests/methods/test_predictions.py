"""Stored predictions stand in the table as a row of their own, paired with the others, without costs."""

from dataclasses import replace

import pytest
from tiny import LABELS, reviews, write_rows

from hf_peft_compare.comparison.build import compare
from hf_peft_compare.config.identity import read_identity, write_identity
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.answers import NO_ANSWER
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.orchestration import preflight
from hf_peft_compare.orchestration.changes import changes_since
from hf_peft_compare.orchestration.jobs import Job, unfinished
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.training.run import train_run

TEST = reviews(12, seed=2)
RIGHT = [{"text": row["text"], "prediction": LABELS[row["label"]]} for row in TEST]


@pytest.fixture
def stored(tmp_path, tiny_study, classifying):
    """`stored([row, …])`: the config, its origins and the file of a row of stored predictions."""

    def make(rows):
        path = write_rows(tmp_path / "answers.jsonl", rows)
        study = tiny_study(
            "num_test_samples=null", **{**classifying, "methods": {"teacher": {"predictions_from": str(path)}}}
        )
        return study.resolve(row="teacher", seed=0)

    return make


def test_they_are_scored_like_any_other_and_an_unread_one_is_wrong(stored, tmp_path):
    told = [dict(row) for row in reversed(RIGHT)]
    told[0]["prediction"], told[1]["prediction"] = None, LABELS[(LABELS.index(told[1]["prediction"]) + 1) % 3]
    config, origins = stored(told)
    record = train_run(config, origins, folder=tmp_path / "teacher-seed0")
    assert record.results["accuracy"] == pytest.approx(10 / 12)
    assert record.parameters is None and record.costs is None and record.seconds.train == 0
    lines = list(read_predictions(tmp_path / "teacher-seed0"))
    assert [line["prediction"] for line in lines].count(NO_ANSWER) == 1
    (row,) = compare({"teacher-seed0": record}, {"teacher-seed0": lines}, expected_runs=[("teacher", 0)]).rows
    assert row.given and not row.floor and not row.seeded
    assert row.remark == "ran elsewhere: no costs measured"
    assert row.figures.keys() == record.results.keys()  # neither time nor memory, by which it would seem free
    assert row.intervals["accuracy"].known
    with pytest.raises(UserError, match="no model that could predict for other texts"):
        list(predict_texts([tmp_path / "teacher-seed0"], ["A fox."]))


@pytest.fixture
def scored(stored, tmp_path):
    """The job of a row of stored predictions that has run."""
    config, origins = stored(RIGHT)
    job = Job(config=config, origins=origins, folder=tmp_path / "runs" / "teacher-seed0")
    job.prepare()
    train_run(config, origins, folder=job.folder)
    return job


def test_a_file_that_changes_is_scored_again(scored, stored):
    assert scored.state == "finished"
    stored([row | {"prediction": LABELS[0]} for row in RIGHT])
    assert changes_since(scored.config, scored.folder) == ["method's files"]
    assert "the method's files changed since it ran" in scored.prepare()


def test_a_run_of_before_files_were_recorded_is_finished_until_its_file_changes(scored, stored):
    now = read_identity(scored.folder)
    write_identity(replace(now, inputs={}, stamps={}), scored.folder)
    assert unfinished([scored]) == []
    stored([row | {"prediction": LABELS[0]} for row in RIGHT])
    assert unfinished([scored]) == [scored]


def test_they_must_be_of_all_test_examples_before_anything_runs(stored):
    config, _ = stored([{"id": row["id"], "prediction": row["label"]} for row in TEST[1:]])
    with pytest.raises(
        UserError, match="has no label for 1 of 12 test texts, such as .*, compared by ids with its 11 rows"
    ):
        preflight.check([config], num_processes=1)


def test_a_missing_file_is_a_user_error(stored, tmp_path):
    config, _ = stored([{}])
    (tmp_path / "answers.jsonl").unlink()
    with pytest.raises(UserError, match="does not exist; pass --set methods.teacher.predictions_from=PATH"):
        preflight.check([config], num_processes=1)
