"""Checks of examples: ids are unique, clusters come from a column, test texts that are in train are counted."""

import json

import pytest
from tiny import stories

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.checks import count_test_in_train
from hf_peft_compare.data.splits import load_examples


@pytest.fixture
def load(tiny_study, tmp_path):
    """`load(change, "key=value", …)`: examples of 40 stories whose rows were changed by `change(number, row)`."""

    def make(change, *overrides):
        rows = [{**row, **change(number, row)} for number, row in enumerate(stories(40, seed=0))]
        path = tmp_path / "all.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
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
