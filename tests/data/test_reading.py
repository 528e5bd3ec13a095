"""Reading data: columns of texts are read as written, and a file is known by its content, not by its time."""

import json
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


CSV = "text,label\n" + "".join(f"text {n} é,{'ab'[n % 2]}\n" for n in range(40))
JSON = "".join(json.dumps({"text": f"text {n} é", "label": "ab"[n % 2]}, ensure_ascii=False) + "\n" for n in range(40))


@pytest.fixture
def read(tiny_study, tmp_path):
    """`read(name, content)`: examples of all rows of a file, or of a folder, `name/file`, with these bytes."""

    def make(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        task = {"name": "sequence_classification", "labels": ["a", "b"]}
        dataset = str(path if path.parent == tmp_path else path.parent)
        sizes = ["num_train_samples=null", *SIZES[1:]]
        return load_examples(tiny_study(*sizes, task=task, methods={"majority": {}}, dataset=dataset).config)

    return make


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.csv", CSV.encode("latin-1"), "d.csv, line 2: byte 0xe9 is not UTF-8"),
        ("d.csv", CSV.encode("utf-16"), "d.csv, line 1: byte 0xff is not UTF-8"),
        ("d.jsonl", JSON.encode("latin-1"), "d.jsonl, line 1: byte 0xe9 is not UTF-8"),
        (
            "d.csv",
            CSV.replace("7 é,", "7, é,"),
            "file .*d.csv cannot be read: .* 2 fields in line 9, saw 3",
        ),
        (
            "d.csv",
            CSV.replace("text 7", '"text 7'),
            "d.csv cannot be read: .*EOF inside string starting at row 8",
        ),
        ("d.csv", CSV.replace(",a\n", ",a,\n").replace(",b\n", ",b,\n"), "names 2 columns, but its first row has 3"),
        ("d.csv", CSV.replace("7 é,b", "7 é,"), "the label of row [0-9]+ is empty"),
        ("d.csv", "", "d.csv is empty"),
        (
            "d.jsonl",
            JSON.replace('"text 7', '"text" 7'),
            "d.jsonl cannot be read: .*JSON parse error: .*row 7",
        ),
        ("d.jsonl", JSON.replace('"b"', "null", 1), "the label of row [0-9]+ is empty"),
        ("d.parquet", "no parquet", "d.parquet cannot be read: ArrowInvalid: Parquet magic bytes not found"),
        ("d/train.jsonl", JSON[:-9], "file .*train.jsonl cannot be read: .* in row 39"),
        ("d/dataset_dict.json", "{", "folder .* cannot be read: JSONDecodeError"),
        ("d/dataset_dict.json", "[]", "folder .* cannot be read: TypeError"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_cause(name, content, words, read):
    with pytest.raises(UserError, match=words):
        read(name, content)


@pytest.mark.parametrize("name", ["d[1].csv", "d*.csv"])
def test_a_file_may_have_a_pattern_as_its_name(name, read, tmp_path):
    (tmp_path / "d1.csv").write_text("text,label\nanother,a\n")
    assert "another" not in {example.source for example in read(name, CSV)["train"]}


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
