"""Train texts with a teacher's labels: which rows get them, what is left out, and the control with random mistakes."""

import random
from collections import Counter

import pytest
from datasets import Dataset, DatasetDict
from tiny import LABELS, reviews, write_partly_labeled_reviews, write_rows

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import fingerprint, load_examples

TRAIN = {row["id"]: LABELS[row["label"]] for row in reviews(48, seed=0)}


def answers(ids, *, wrong=8, unread=3):
    """A teacher's answers: a few wrong, a few that cannot be read."""
    told = {}
    for place, i in enumerate(sorted(ids, key=lambda i: random.Random(i).random())):
        others = [label for label in LABELS if label != TRAIN[i]]
        told[i] = None if place < unread else others[0] if place < unread + wrong else TRAIN[i]
    return told


TOLD = answers(TRAIN)


@pytest.fixture
def labels(tmp_path):
    """A file with the teacher's answers by id."""
    return write_rows(tmp_path / "labels.jsonl", [{"id": i, "prediction": label} for i, label in TOLD.items()])


@pytest.fixture
def load(tiny_study, classifying, labels):
    """`load("key=value", …)`: the examples of a classification study of which a teacher has labeled train."""

    def make(*overrides, teacher=True):
        given = [f"labels_from.file={labels}"] if teacher else []
        return load_examples(tiny_study("num_train_samples=null", *given, *overrides, **classifying).config)

    return make


def found(examples):
    return {example.id: example.reference for example in examples["train"]}


def test_train_has_the_teachers_labels_and_the_others_the_datasets(load):
    examples, gold = load(), load(teacher=False)
    assert found(examples) == {i: label for i, label in TOLD.items() if label is not None}
    for split in ("validation", "test"):
        assert examples[split] == gold[split]
    facts = examples.train_labels
    assert (facts.num_gold, facts.num_teacher, facts.num_unread) == (0, 45, 3)
    assert (facts.num_compared, facts.num_right, facts.accuracy) == (45, 37, 37 / 45)
    assert (facts.use, facts.validation) == ("teacher", "gold") and facts.teacher.endswith("labels.jsonl")
    assert gold.train_labels is None


def test_the_texts_are_those_that_the_dataset_would_give(load):
    chosen = {e.id: e.source for e in load("num_train_samples=30", teacher=False)["train"]}
    taught = {e.id: e.source for e in load("num_train_samples=30")["train"]}
    assert taught.items() <= chosen.items() and len(taught) > 26


def test_the_first_texts_keep_the_datasets_labels(load):
    first = {e.id for e in load("num_train_samples=20", teacher=False)["train"]}
    examples = load("labels_from.gold_samples=20")
    assert found(examples) == {i: TRAIN[i] if i in first else TOLD[i] for i in TRAIN if i in first or TOLD[i]}
    facts = examples.train_labels
    assert facts.num_gold == 20 and facts.num_teacher + facts.num_unread == 28
    assert facts.num_right < facts.num_compared == facts.num_teacher


def test_noise_is_as_many_random_mistakes_in_the_same_texts(load):
    taught, noisy = load(), load("labels_from.use=noise")
    assert found(noisy).keys() == found(taught).keys()
    wrong = {i for i, label in found(noisy).items() if label != TRAIN[i]}
    assert len(wrong) == 8 and wrong != {i for i, label in found(taught).items() if label != TRAIN[i]}
    assert found(noisy) == found(load("labels_from.use=noise"))
    assert found(noisy) != found(load("labels_from.use=noise", "data_seed=1"))
    assert noisy.train_labels.accuracy == taught.train_labels.accuracy and noisy.train_labels.use == "noise"


def test_the_labels_are_part_of_the_fingerprint(load):
    prints = [fingerprint(load(*given)) for given in ([], ["labels_from.use=noise"], ["labels_from.gold_samples=40"])]
    assert len({p["train"] for p in prints}) == 3 and len({p["test"] for p in prints}) == 1


def test_answers_that_cannot_be_read_may_be_refused(load):
    with pytest.raises(
        UserError, match="no readable label for 3 of 48 train texts; set labels_from.drop_unparsed=true"
    ):
        load("labels_from.drop_unparsed=false")


def test_texts_without_any_label_of_the_dataset_are_trained_on(load, tmp_path, labels):
    """The texts of a split that only the teacher has labeled are added to train, whose own labels stay."""
    folder = tmp_path / "reviews"
    extra = write_partly_labeled_reviews(folder)
    write_rows(labels, [{"text": row["text"], "prediction": "found"} for row in extra])  # of these alone
    more = (f"dataset={folder}", "labels_from.extra_split=unsupervised")
    examples = load(*more, "labels_from.num_extra_samples=30")
    assert Counter(e.id.split("-")[0] for e in examples["train"]) == {"5": 12, "0": 30}
    own = {row["id"]: LABELS[row["label"]] for row in reviews(12, seed=5)}
    assert {e.id: e.reference for e in examples["train"] if e.id in own} == own
    assert {e.reference for e in examples["train"] if e.id not in own} == {"found"}
    assert (examples.train_labels.num_teacher, examples.train_labels.accuracy) == (30, None)
    with pytest.raises(UserError, match="48 train texts have no label in the dataset that could be replaced"):
        load(*more, "labels_from.use=noise")
    with pytest.raises(UserError, match="num_extra_samples is 49, but unsupervised has 48 rows"):
        load(*more, "labels_from.num_extra_samples=49")
    with pytest.raises(UserError, match="extra_split is 'test', which the study uses already"):
        load(f"dataset={folder}", "labels_from.extra_split=test")


@pytest.fixture
def with_extra(load, tmp_path, labels):
    """`with_extra(extra, told, "key=value", …)`: the same with a split of 8 texts that only the teacher has labeled."""

    def make(extra, told, *overrides, train=None):
        splits = {"train": train or reviews(48, seed=0), "validation": reviews(12, seed=1), "test": reviews(12, seed=2)}
        tables = {name: Dataset.from_list(rows) for name, rows in {**splits, "more": extra}.items()}
        DatasetDict(tables).save_to_disk(tmp_path / "with_extra")
        write_rows(labels, told)
        return load(f"dataset={tmp_path / 'with_extra'}", "labels_from.extra_split=more", *overrides)

    return make


EXTRA = [{"text": row["text"]} for row in reviews(8, seed=9)]
TOLD_EXTRA = [row | {"prediction": "found"} for row in EXTRA]


def test_a_split_without_label_and_id_columns_is_added_with_ids_of_its_own(with_extra):
    numbered = [row | {"id": number} for number, row in enumerate(reviews(48, seed=0))]
    for train in (None, numbered):
        examples = with_extra(EXTRA, TOLD_EXTRA, train=train)
        added = {e.id: e.source for e in examples["train"][48:]}
        assert added == {f"more/{place}": row["text"] for place, row in enumerate(EXTRA)}
        assert examples.train_labels.num_teacher == 8 and examples.train_labels.accuracy is None
    with pytest.raises(UserError, match="8 train texts have no label in the dataset that could be replaced"):
        with_extra(EXTRA, TOLD_EXTRA, "labels_from.use=noise")


def test_row_numbers_of_two_splits_are_told_apart(with_extra):
    """A file that names train texts by their numbers says nothing of those of another split."""
    train, extra = (
        [{"text": r["text"], "label": r["label"]} for r in reviews(n, seed=s)] for n, s in ((48, 0), (8, 9))
    )
    told = [{"id": n, "label": row["label"], "prediction": LABELS[row["label"]]} for n, row in enumerate(train)]
    given = ("labels_from.gold_samples=4",)
    with pytest.raises(
        UserError, match="no label for 8 of 52 train texts, such as 'more/[0-7]', compared by row numbers"
    ):
        with_extra(extra, told, *given, train=train)
    told = [row | {"id": str(row["id"])} for row in told] + [
        {"id": f"more/{n}", "prediction": "lost"} for n in range(8)
    ]
    examples = with_extra(extra, told, *given, train=train)
    assert [e.reference for e in examples["train"][48:]] == ["lost"] * 8
    assert [e.id for e in examples["train"]] == list(map(str, range(56)))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([*EXTRA, {"text": " "}], "the text of row more/8 is empty; expected text"),
        ([*EXTRA, {"text": None}], "the text of row more/8 is empty; expected text"),
        ([{"review": "A fox."}], "no column 'text'; it has review. Set task.text_column"),
        ([{"text": "A fox.", "claim": 1}], "split 'more', .* are not those of train: .* key claim "),
    ],
)
def test_texts_that_a_teacher_cannot_label_are_a_user_error(with_extra, extra, message):
    with pytest.raises(UserError, match=message):
        with_extra(extra, TOLD_EXTRA)


def test_a_generated_dataset_has_no_further_split(tiny_study, labels):
    task = {"name": "sequence_classification", "labels": ["gain", "loss", "neither"]}
    given = (f"labels_from.file={labels}", "labels_from.extra_split=more", "dataset=embedded")
    with pytest.raises(UserError, match="labels_from.extra_split is 'more', but dataset embedded is generated"):
        load_examples(tiny_study(*given, task=task).config)


def test_validation_has_the_teachers_labels_only_if_it_is_cut_from_train(load):
    cut = ("validation_split=train", "num_train_samples=30", "labels_from.validation=teacher")
    examples = load(*cut)
    assert all(TOLD[example.id] == example.reference for example in examples["validation"])
    assert 0 < len(examples["validation"]) <= 8 and examples.train_labels.validation == "teacher"
    with pytest.raises(UserError, match="only one that is cut from train"):
        load("labels_from.validation=teacher")


def test_a_task_without_labels_has_no_teacher(tiny_study, labels):
    with pytest.raises(UserError, match="task summarization has no labels of its own"):
        load_examples(tiny_study(f"labels_from.file={labels}").config)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("labels_from.file=gone.jsonl", "gone.jsonl, which does not exist; pass --set labels_from.file=PATH"),
        ("labels_from={run: gone}", "labels_from.run is gone, which has not labeled the train texts yet"),
        ("labels_from.gold_samples=49", "gold_samples is 49, but train has 48 rows"),
        ("labels_from.extra_split=more", "extra_split is 'more'; dataset .* has"),
    ],
)
def test_a_teacher_that_does_not_fit_is_a_user_error(load, given, message):
    with pytest.raises(UserError, match=message):
        load(given, teacher="{" not in given)
