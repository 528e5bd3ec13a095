"""Reading data: columns of texts are read as written, and a file is known by its content, not by its time."""

import os

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import load_examples

SIZES = ("num_train_samples=20", "num_validation_samples=10", "num_test_samples=10")


@pytest.fixture
def load(tiny_study, tmp_path):
    """`load(labels, names)`: examples of a CSV of 40 rows whose label column has these texts in turn."""

    def make(values, labels, *overrides, text="text {}"):
        rows = [f"{text.format(n)},{values[n % len(values)]}" for n in range(40)]
        (tmp_path / "d.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
        task = {"name": "sequence_classification", "labels": labels}
        keys = {"task": task, "methods": {"majority": {}}, "dataset": str(tmp_path / "d.csv")}
        return load_examples(tiny_study(*SIZES, *overrides, **keys).config)

    return make


def references(examples):
    """Pairs of row numbers' remainders by two and labels."""
    return {(int(e.source.split()[-1]) % 2, e.reference) for split in examples.values() for e in split}


def test_codes_keep_their_zeros(load):
    assert references(load(["01", "02"], ["01", "02", "03"])) == {(0, "01"), (1, "02")}


def test_names_that_look_like_missing_values_are_names(load):
    assert references(load(["NA", "null"], ["NA", "null"])) == {(0, "NA"), (1, "null")}


def test_numbers_are_places_of_named_classes_but_never_of_numbers(load):
    assert references(load(["0", "1"], ["no", "yes"])) == {(0, "no"), (1, "yes")}
    with pytest.raises(UserError, match="is '0'; expected one of 1, 2. Set task.labels"):
        load(["0", "1"], ["1", "2"])


def test_texts_of_digits_are_texts(load):
    assert {e.source for e in load(["a", "b"], ["a", "b"], text="{}")["train"]} <= {str(n) for n in range(40)}


def test_a_file_that_is_replaced_with_the_same_time_and_size_is_read_again(load, tmp_path):
    load(["a", "b"], ["a", "b"])
    time = os.stat(tmp_path / "d.csv").st_mtime_ns
    write = type(tmp_path).write_text

    def keeping_time(self, *args, **kwargs):
        write(self, *args, **kwargs)
        if self.suffix == ".csv":
            os.utime(self, ns=(time, time))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(tmp_path), "write_text", keeping_time)
        assert all(e.source.startswith("test") for e in load(["a", "b"], ["a", "b"], text="test {}")["train"])
