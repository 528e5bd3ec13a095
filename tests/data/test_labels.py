"""Labelled texts: bad rows and splits end with one error that names them."""

import datasets
import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.labels import ClassificationSettings, check_labels, known_labels, labeled_examples, labels_of

LABELS = ["ham", "spam"]
SETTINGS = ClassificationSettings(labels=LABELS)


def rows(*labels, text="Hello."):
    return datasets.Dataset.from_list([{"text": text, "label": label} for label in labels])


@pytest.mark.parametrize("labels", [(0, 1), ("ham", "spam")])
def test_labels_are_names_or_places(labels):
    examples = labeled_examples(rows(*labels), SETTINGS)
    assert [(e.id, e.reference) for e in examples] == [("0", "ham"), ("1", "spam")]


def test_texts_are_left_as_they_are():
    (example,) = labeled_examples(rows(0, text=" a \n"), SETTINGS)
    assert example.source == " a \n"


def test_pairs_have_two_texts():
    dataset = datasets.Dataset.from_list([{"premise": "a", "hypothesis": "b", "label": 1}])
    settings = ClassificationSettings(text_column="premise", text_pair_column="hypothesis", labels=LABELS)
    (example,) = labeled_examples(dataset, settings)
    assert (example.source, example.source_pair, example.reference) == ("a", "b", "spam")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2, "label of row 1 is 2; expected one of ham, spam, or its index in this list, 0 to 1"),
        (-1, "the labels of this split are hidden"),
        (None, "label of row 1 is empty"),
        (float("nan"), "label of row 1 is empty"),
        (2.0, "label of row 1 is 2; expected"),
    ],
)
def test_a_label_that_is_none_of_them_is_a_user_error(label, message):
    with pytest.raises(UserError, match=message):
        labeled_examples(rows(0, label), SETTINGS)


@pytest.mark.parametrize("values", [(0, -1, 1), (0.0, -1.0, float("nan")), ("ham", "-1", ""), ("ham", "-1", None)])
def test_a_label_that_is_missing_or_hidden_is_not_known(values):
    assert known_labels(rows(*values), SETTINGS)[:2] == ["ham", None]
    assert known_labels(rows(*values), SETTINGS)[2] in (None, "spam")


def test_minus_one_is_a_label_where_a_class_has_this_name():
    settings = ClassificationSettings(labels=["-1", "0", "1"])
    assert known_labels(rows(-1, 0, 1), settings) == known_labels(rows("-1", "0", "1"), settings) == ["-1", "0", "1"]


def test_without_labels_the_error_lists_what_the_data_has():
    with pytest.raises(UserError, match=r"the dataset has ham \(2\), spam \(1\). Set task.labels to \[ham, spam\]"):
        labeled_examples(rows("ham", "spam", "ham"), ClassificationSettings())


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "a"]])
def test_fewer_than_two_classes_are_a_user_error(labels):
    with pytest.raises(UserError, match="expected the names of two or more classes"):
        labels_of(ClassificationSettings(labels=labels))


def test_a_class_that_is_named_as_what_cannot_be_read_is_a_user_error():
    """Each text that cannot be read would count as this class."""
    with pytest.raises(UserError, match="'no answer', which stands for an answer that cannot be read"):
        labels_of(ClassificationSettings(labels=["yes", "no answer"]))


@pytest.mark.parametrize("key", ["text_column", "label_column", "text_pair_column"])
def test_a_missing_column_is_named_with_those_that_exist(key):
    settings = ClassificationSettings(labels=LABELS, **{key: "txt"})
    with pytest.raises(UserError, match=f"no column 'txt'; it has text, label. Set task.{key}"):
        labeled_examples(rows(0), settings)


def test_an_empty_text_is_a_user_error():
    with pytest.raises(UserError, match="the text of row 0 is empty"):
        labeled_examples(rows(0, text=" "), SETTINGS)


def split(*labels):
    return [Example(id=str(i), source="a", reference=label) for i, label in enumerate(labels)]


def test_one_class_in_train_is_a_user_error():
    with pytest.raises(UserError, match="all 2 train examples are labeled 'ham'"):
        check_labels({"train": split("ham", "ham"), "validation": [], "test": []}, SETTINGS)


def test_labels_that_train_never_shows_are_a_user_error():
    splits = {"train": split("a", "b"), "validation": split("a"), "test": split("b", "c", "c")}
    with pytest.raises(UserError, match=r"test has labels that train does not have: c \(2\)"):
        check_labels(splits, SETTINGS)


@pytest.mark.parametrize(
    "labels", [["pos", "neutral", "neg"], ["pos", "neutral", "neg", "mixed"], ["bad", "neutral", "good"]]
)
def test_names_of_the_data_that_stand_elsewhere_in_the_study_are_no_indices(labels):
    """Names of its own, in the dataset's order, rename the classes; its own names in another order do not."""
    names = datasets.ClassLabel(names=["neg", "neutral", "pos"])
    dataset = rows(0, 1, 2).cast_column("label", names)
    found = [e.reference for e in labeled_examples(dataset, ClassificationSettings(labels=labels))]
    assert found == (labels if labels[0] == "bad" else names.names)


def test_a_name_of_the_data_at_another_place_beside_a_renamed_one_is_a_user_error():
    dataset = rows(0, 1, 2).cast_column("label", datasets.ClassLabel(names=["neg", "neutral", "pos"]))
    with pytest.raises(UserError, match="label of row 2 is 'pos'; expected one of neutral, neg, positive"):
        labeled_examples(dataset, ClassificationSettings(labels=["neutral", "neg", "positive"]))


@pytest.mark.parametrize("values", [[0.5, 1.0, 1.5, 2.0], [True, False]])
def test_a_value_that_is_spelled_as_a_label_is_this_one(values):
    """2.0 is not index 2 of 0.5, 1.0, 1.5 and 2.0, which are what a table of such numbers gives as labels."""
    labels = sorted(map(str, values))
    assert [e.reference for e in labeled_examples(rows(*values), ClassificationSettings(labels=labels))] == [
        str(value) for value in values
    ]
