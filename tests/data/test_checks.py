"""Checks of examples: ids are unique, clusters come from a column, test texts that are in train are counted."""

import pytest
from tiny import stories, write_rows

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.metric import Metric, Score
from hf_peft_compare.core.registry import METRICS
from hf_peft_compare.core.task import Example, Turn
from hf_peft_compare.data.checks import count_test_in_train
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.orchestration import preflight


@pytest.fixture
def load(tiny_study, tmp_path):
    """`load(change, "key=value", …)`: examples of 40 stories whose rows were changed by `change(number, row)`."""

    def make(change, *overrides):
        rows = [{**row, **change(number, row)} for number, row in enumerate(stories(40, seed=0))]
        path = write_rows(tmp_path / "all.jsonl", rows)
        return load_examples(tiny_study(f"dataset={path}", *overrides).config)

    return make


def test_repeated_ids_are_refused_with_their_number(load):
    with pytest.raises(
        UserError, match=r"6 test rows have 1 different ids; 'u' is the id of 6 rows.*Set task.id_column"
    ):
        load(lambda number, row: {"id": "u"}, "num_train_samples=1", "num_validation_samples=1")
    examples = load(lambda number, row: {"id": "u"}, "task.id_column=null")
    assert [example.id for example in examples["test"]] == [str(number) for number in range(6)]


def test_clusters_come_from_a_column(load):
    examples = load(lambda number, row: {"page": number % 3}, "cluster_column=page")
    numbers = {row["id"]: number for number, row in enumerate(stories(40, seed=0))}
    assert all(example.cluster == str(numbers[example.id] % 3) for example in examples["test"])
    assert load(lambda number, row: {})["test"][0].cluster is None


def test_a_missing_cluster_column_is_a_user_error(load):
    with pytest.raises(UserError, match="no column 'page'; it has id, article, highlights. Set cluster_column"):
        load(lambda number, row: {}, "cluster_column=page")


def test_test_texts_that_are_in_train_are_counted_whatever_their_case_and_spaces():
    def split(*texts):
        return [Example(id=str(n), source=text, reference="r") for n, text in enumerate(texts)]

    examples = {"train": split("A fox.", "An owl."), "test": split("a  FOX. ", "An otter.", "An owl.", "A fox.")}
    assert count_test_in_train(examples) == 3


CONVERSING = {"name": "instruction_tuning", "prompt_column": "article", "completion_column": "highlights"}


def test_a_reference_that_a_metric_cannot_score_is_refused_with_its_row(load):
    task = "task={{name: instruction_tuning, prompt_column: article, completion_column: highlights, metrics: [{}]}}"
    examples = load(lambda number, row: {}, task.format("numeric_answer"))
    assert examples["test"]
    with pytest.raises(UserError, match=r"metric numeric_answer cannot score test row .*: its reference has no number"):
        load(lambda number, row: {"highlights": "Some owls."}, task.format("numeric_answer"))
    assert load(lambda number, row: {"highlights": "Some owls."}, task.format("rouge"))


def test_a_metric_of_classes_is_refused_for_texts(tiny_study):
    with pytest.raises(UserError, match="metric f1 compares classes, but task instruction_tuning has free texts"):
        load_examples(tiny_study(task={**CONVERSING, "metrics": ["f1"]}).config)


class Broken(Metric):
    """A metric whose code fails."""

    name = "broken"
    scores = [Score(name="broken", title="Broken", unit="ratio", greater_is_better=True)]

    def compute(self, predictions, references):
        return {"broken": [1 / 0 for _ in predictions]}


def test_a_metric_that_fails_is_found_before_anything_runs(tiny_study, monkeypatch):
    monkeypatch.setitem(METRICS.registered, "broken", Broken())
    study = tiny_study(task={**CONVERSING, "metrics": ["broken"]}, methods={"lead": {}})
    config, _ = study.resolve(row="lead", seed=0)
    with pytest.raises(UserError, match="metric broken fails on the first 6 references .*ZeroDivisionError"):
        preflight.check([config], num_processes=1)
    assert load_examples(config)["test"]  # each run would try it again


def test_conversations_that_end_alike_are_different_texts():
    def asked(earlier):
        return Example(id="0", source="Why?", reference="r", earlier=(Turn(role="user", text=earlier),))

    assert count_test_in_train({"train": [asked("A fox ran.")], "test": [asked("An owl flew.")]}) == 0
    assert count_test_in_train({"train": [asked("A fox ran.")], "test": [asked("a fox  ran.")]}) == 1
