"""Data: three splits of the sizes that a study asks for, the same in every run, from wherever they stand."""

from collections import Counter

import datasets
import pytest
from tiny import stories, write_rows, write_stories

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import SPLITS, fingerprint, load_examples


def ids(examples):
    return [example.id for example in examples]


def test_splits_have_the_sizes_asked_for(load):
    examples = load()
    assert {name: len(examples[name]) for name in SPLITS} == {"train": 24, "validation": 8, "test": 6}
    written = {row["id"]: row for row in stories(40, seed=0)}
    for example in examples["train"]:
        assert example.source == written[example.id]["article"]
        assert example.reference == written[example.id]["highlights"]


def test_a_size_left_out_takes_the_whole_split(load):
    assert len(load("num_train_samples=null")["train"]) == 40


def test_the_choice_is_seeded_and_a_smaller_one_is_part_of_a_larger_one(load):
    small, large = load("num_train_samples=10"), load("num_train_samples=30")
    assert ids(small["train"]) == ids(load("num_train_samples=10")["train"])
    assert set(ids(small["train"])) < set(ids(large["train"]))
    assert ids(small["train"]) != ids(load("num_train_samples=10", "data_seed=1")["train"])
    assert ids(small["train"]) != [f"0-{i}" for i in range(10)]  # a choice, not the first ten


def test_asking_for_more_than_there_is_is_a_user_error(load):
    with pytest.raises(UserError, match="num_train_samples is 41, but .* has 40 rows for train; set at most 40"):
        load("num_train_samples=41")


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_one_file_is_enough_and_missing_splits_are_cut_from_it(suffix, load, tmp_path):
    path = write_rows(tmp_path / f"all.{suffix}", stories(40, seed=0))
    examples = load(f"dataset={path}")
    found = [set(ids(examples[name])) for name in SPLITS]
    assert [len(split) for split in found] == [24, 8, 6]
    assert len(set.union(*found)) == 24 + 8 + 6  # disjoint
    again = load(f"dataset={path}")
    assert fingerprint(again) == fingerprint(examples)
    assert fingerprint(load(f"dataset={path}", "data_seed=1")) != fingerprint(examples)


def test_a_cut_without_a_size_is_a_user_error(load, tmp_path):
    path = write_stories(tmp_path / "all.jsonl", 30)
    with pytest.raises(UserError, match="test split is to be cut from train, but num_test_samples is not set"):
        load(f"dataset={path}", "num_test_samples=null")


def test_a_cut_larger_than_train_is_a_user_error(load, tmp_path):
    path = write_stories(tmp_path / "all.jsonl", 6)
    with pytest.raises(UserError, match="num_test_samples is 6, but train, from which they are cut, has 6 rows"):
        load(f"dataset={path}")


def test_a_dataset_without_train_names_the_splits_it_has(load, tmp_path):
    write_stories(tmp_path / "test.jsonl", 6)
    with pytest.raises(UserError, match="has no split 'train'; it has test. Set train_split to one of them"):
        load(f"dataset={tmp_path}")


def test_a_dataset_saved_to_disk_is_read(load, tmp_path):
    rows = {name: datasets.Dataset.from_list(stories(30, seed=n)) for n, name in enumerate(SPLITS)}
    datasets.DatasetDict(rows).save_to_disk(str(tmp_path / "saved"))
    assert all(example.id.startswith("2-") for example in load(f"dataset={tmp_path / 'saved'}")["test"])


@pytest.mark.parametrize("column", ["article", "highlights"])
def test_a_missing_column_names_those_that_exist(column, load, tmp_path):
    rows = [{"text" if name == column else name: value for name, value in row.items()} for row in stories(40, seed=0)]
    path = write_rows(tmp_path / "all.jsonl", rows)
    key = {"article": "article_column", "highlights": "summary_column"}[column]
    with pytest.raises(UserError, match=f"no column '{column}'; it has .*text.*Set task.{key}"):
        load(f"dataset={path}")
    assert len(load(f"dataset={path}", f"task.{key}=text")["train"]) == 24


@pytest.mark.parametrize(("column", "what"), [("article", "article"), ("highlights", "summary")])
@pytest.mark.parametrize("value", ["", "   \n", None])
def test_empty_text_is_a_user_error_that_names_the_row(value, column, what, load, tmp_path):
    path = write_rows(tmp_path / "all.parquet", [{**row, column: value} for row in stories(40, seed=0)])
    with pytest.raises(UserError, match=f"the {what} of row 0-[0-9]+ is empty"):
        load(f"dataset={path}")


def test_rows_without_ids_are_numbered(load, tmp_path):
    rows = [{name: row[name] for name in ("article", "highlights")} for row in stories(40, seed=0)]
    path = write_rows(tmp_path / "all.jsonl", rows)
    assert ids(load(f"dataset={path}")["test"]) == [str(i) for i in range(6)]


def test_a_file_of_another_kind_is_a_user_error(load, tmp_path):
    path = tmp_path / "all.docx"
    path.write_text("x")
    with pytest.raises(UserError, match=r"is \.docx; expected \.parquet, \.jsonl"):
        load(f"dataset={path}")


def test_a_broken_file_is_a_user_error(load, tmp_path):
    path = tmp_path / "all.parquet"
    path.write_text("no parquet")
    with pytest.raises(UserError, match=r"all\.parquet cannot be read"):
        load(f"dataset={path}")


def test_an_empty_folder_is_a_user_error(load, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty cannot be read"):
        load(f"dataset={tmp_path / 'empty'}")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all"])
def test_a_folder_that_does_not_exist_is_a_user_error(name, load):
    with pytest.raises(UserError, match="does not exist"):
        load(f"dataset={name}")


def test_without_the_hub_the_error_says_how_to_use_a_local_folder(load):
    with pytest.raises(UserError, match="the hub cannot be reached.*or use a local folder: --set dataset=PATH"):
        load("dataset=someone/some-news")


def test_the_fingerprint_changes_with_every_text_and_with_the_order(load):
    examples = load()
    first = fingerprint(examples)
    assert first == fingerprint(load())
    reversed_train = {**examples, "train": examples["train"][::-1]}
    assert fingerprint(reversed_train)["train"] != first["train"]
    assert fingerprint(reversed_train)["test"] == first["test"]


@pytest.fixture
def labelled(tmp_path, tiny_study):
    """`labelled(counts, "key=value", …)`: splits of a file with so many rows of each label, and no other split."""

    def make(counts, *overrides):
        rows = [(label, i) for label, count in counts.items() for i in range(count)]
        rows = [{"id": f"{label}-{i}", "text": f"{label} {i}", "label": label} for label, i in rows]
        path = write_rows(tmp_path / "labelled.csv", rows)
        task = {"name": "sequence_classification", "labels": list(counts)}
        return load_examples(tiny_study(f"dataset={path}", *overrides, task=task, methods={"majority": {}}).config)

    return make


def label_counts(examples):
    return dict(sorted(Counter(example.reference for example in examples).items()))


WHOLE = ("num_train_samples=null", "num_validation_samples=20", "num_test_samples=10")


def test_splits_cut_from_train_have_its_labels_in_its_proportions(labelled):
    examples = labelled({"common": 80, "rare": 20}, *WHOLE)
    counts = {name: label_counts(examples[name]) for name in SPLITS}
    assert counts["test"] == {"common": 8, "rare": 2}
    assert counts["validation"] == {"common": 16, "rare": 4}
    assert counts["train"] == {"common": 56, "rare": 14}
    assert len({example.id for split in examples.values() for example in split}) == 100


def test_a_label_that_stands_once_stays_in_train(labelled):
    for seed in range(10):
        examples = labelled({"common": 60, "other": 39, "single": 1}, *WHOLE, f"data_seed={seed}")
        assert label_counts(examples["train"])["single"] == 1


def test_cut_splits_are_seeded_and_do_not_depend_on_the_number_of_train_samples(labelled):
    counts = {"common": 80, "rare": 20}
    examples = labelled(counts, *WHOLE)
    assert fingerprint(labelled(counts, *WHOLE)) == fingerprint(examples)
    assert fingerprint(labelled(counts, *WHOLE, "data_seed=1"))["test"] != fingerprint(examples)["test"]
    few = labelled(counts, *WHOLE, "num_train_samples=10")
    assert {name: fingerprint(few)[name] for name in ("validation", "test")} == {
        name: fingerprint(examples)[name] for name in ("validation", "test")
    }


def test_without_labels_the_end_of_shuffled_train_is_cut(load, tmp_path):
    """Published records of summarization have these very examples."""
    path = write_stories(tmp_path / "all.jsonl", 40, seed=0)
    rows = datasets.load_dataset("json", data_files=str(path))["train"].shuffle(seed=0)["id"]
    examples = load(f"dataset={path}")
    assert ids(examples["test"]) == rows[34:] and ids(examples["validation"]) == rows[26:34]
    assert ids(examples["train"]) == rows[:24]


BALANCED = ("balanced_train_samples=true", "num_validation_samples=5", "num_test_samples=5")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (6, {"a": 2, "b": 2, "c": 2}),
        (8, {"a": 3, "b": 3, "c": 2}),
        (30, {"a": 13, "b": 12, "c": 5}),  # c has no more
    ],
)
def test_balanced_train_samples_are_as_even_as_the_data_allows(size, expected, labelled):
    found = label_counts(labelled({"a": 60, "b": 35, "c": 5}, *BALANCED, f"num_train_samples={size}")["train"])
    assert sorted(found.values()) == sorted(expected.values()) and found["c"] == expected["c"]


def test_balanced_train_samples_are_seeded_and_a_smaller_choice_is_part_of_a_larger_one(labelled):
    def chosen(size, *overrides):
        counts = {"a": 400, "b": 100}
        return ids(labelled(counts, *BALANCED, f"num_train_samples={size}", *overrides)["train"])

    assert set(chosen(50)) < set(chosen(150))
    assert chosen(50) == chosen(50) and set(chosen(50)) != set(chosen(50, "data_seed=1"))
    assert chosen(50) != [f"a-{i}" for i in range(25)] + [f"b-{i}" for i in range(25)]


def test_a_task_without_labels_has_nothing_to_balance(load):
    with pytest.raises(UserError, match="task summarization has no labels to balance"):
        load("balanced_train_samples=true")


def test_a_missing_label_column_names_those_that_exist(labelled):
    with pytest.raises(UserError, match="no column 'sentiment'; it has id, text, label"):
        labelled({"a": 40, "b": 40}, *BALANCED, "task.label_column=sentiment")


@pytest.mark.parametrize("size", [3, 5])
def test_rows_of_a_grid_read_nested_subsets_of_one_train_split(size, tiny_study, classifying):
    keys = {**classifying, "methods": {"lora": {"grid": {"num_train_samples": [size, 3 * size]}}}}
    study = tiny_study("balanced_train_samples=true", **keys)
    few, many = (load_examples(config) for config, _ in study.resolve_all())
    assert (len(few["train"]), len(many["train"])) == (size, 3 * size)
    assert set(ids(few["train"])) < set(ids(many["train"]))
    assert fingerprint(few)["test"] == fingerprint(many)["test"]
