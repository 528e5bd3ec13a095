"""Files of labels: matched by text or id, read with the task's names, and refused when they are of other data."""

import pytest
from tiny import LABELS, write_rows

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_task
from hf_peft_compare.core.settings import parse_settings
from hf_peft_compare.data.label_file import read_label_file

TASK = get_task("sequence_classification")
SETTINGS = parse_settings(TASK.settings, {"labels": LABELS}, "task")
TEXTS = [("A fox.",), ("An owl.",), ("A heron.",)]
FOUND = {"what": "train texts", "are_places": False}


@pytest.fixture
def read(tmp_path):
    """`read([row, …], suffix=".jsonl", **options)`: the labels of a file with these rows."""

    def make(rows, *, suffix=".jsonl", **options):
        path = write_rows(tmp_path / f"labels{suffix}", rows)
        return read_label_file(path, TASK, SETTINGS, **{"column": None, "id_column": "id"} | options)

    return make


def rows(**columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_label_is_a_name_or_an_index_and_may_be_missing(read, suffix):
    names = read(rows(id=["007", "8", "9"], prediction=["found", "lost", None]), suffix=suffix)
    assert names.find(TEXTS, ["9", "007", "8"], [None] * 3, **FOUND) == [None, "found", "lost"]
    indices = read(rows(id=["007", "8", "9"], prediction=[2, 0, None]), suffix=suffix)
    assert indices.find(TEXTS, ["9", "007", "8"], [None] * 3, **FOUND) == [None, "found", "lost"]


def test_texts_match_before_ids_in_any_order(read):
    file = read(
        rows(id=["0", "1", "2"], text=["A heron. ", "A fox.", "An owl."], prediction=["lost", "unclear", "no answer"])
    )
    assert file.find(TEXTS, ["0", "1", "2"], [None] * 3, **FOUND) == ["unclear", None, "lost"]


def test_predictions_of_a_run_are_labels_and_its_parsed_answer_counts(read):
    file = read(rows(id=["0"], source=["A fox."], reference=["lost"], prediction=["I say found."], answer=["found"]))
    assert file.find(TEXTS[:1], ["7"], ["lost"], **FOUND) == ["found"]
    with pytest.raises(
        UserError, match="says of 1 of 1 train texts, compared by texts, another label than the dataset"
    ):
        file.find(TEXTS[:1], ["7"], ["found"], **FOUND)


def test_texts_without_a_label_are_counted(read):
    file = read(rows(text=["A fox.", "A badger."], prediction=[0, 1]))
    with pytest.raises(
        UserError, match="has no label for 2 of 3 train texts, such as 'An owl.', compared by texts with its 2 rows"
    ):
        file.find(TEXTS, ["0", "1", "2"], [None] * 3, **FOUND)


def test_row_numbers_of_another_dataset_are_noticed_by_its_labels(read):
    file = read(rows(row=[0, 1, 2], label=[0, 1, 2], guess=[0, 1, 1]), column="guess", id_column="row")
    places = FOUND | {"are_places": True}
    assert file.find(TEXTS, ["2", "0", "1"], ["found", "lost", "unclear"], **places) == ["unclear", "lost", "unclear"]
    with pytest.raises(UserError, match="says of 2 of 3 train texts, compared by row numbers, another label"):
        file.find(TEXTS, ["2", "0", "1"], ["lost", "found", "unclear"], **places)


def test_row_numbers_that_nothing_confirms_are_refused(read):
    file = read(rows(id=[0, 1, 2], prediction=[0, 1, 1]))
    assert file.find(TEXTS, ["0", "1", "2"], ["lost"] * 3, **FOUND) == ["lost", "unclear", "unclear"]
    with pytest.raises(UserError, match="row numbers only, and nothing shows that they are of this dataset"):
        file.find(TEXTS, ["0", "1", "2"], ["lost"] * 3, **FOUND | {"are_places": True})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            rows(id=["0"], prediction=["good"]),
            r"has labels 'good' \(1 of 1 rows\), and the task's are lost, unclear, found",
        ),
        (rows(id=["0"], prediction=[3]), "has labels '3'"),
        (rows(id=["0", "0"], prediction=[1, 1]), "2 rows with 1 different ids; '0' is the id of 2"),
        (rows(text=["A fox.", "A fox."], prediction=[1, 2]), "gives two labels to each of 1 texts, such as 'A fox.'"),
        (rows(text=["A fox."], guess=[1]), "has no column 'prediction'; it has text, guess"),
        (
            rows(review=["A fox."], prediction=[1]),
            r"has neither the texts \(text\) nor ids \(id\); it has review, pred",
        ),
        (rows(text=[1.5], prediction=[1]), "row 1: text is .1.5,.; expected text"),
    ],
)
def test_a_bad_file_is_a_user_error(read, given, message):
    with pytest.raises(UserError, match=message):
        read(given)


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="does not exist; expected .parquet"):
        read_label_file(tmp_path / "no.jsonl", TASK, SETTINGS, column=None, id_column="id")


ASKED = {"context": "Ann saw 2 owls.", "question": "How many?", "answer": "2", "prediction": "3"}


@pytest.mark.parametrize(("given", "column", "told"), [(ASKED, "answer", "3"), (ASKED, "answers", "2")])
def test_the_datasets_own_column_is_not_what_was_predicted(tmp_path, given, column, told):
    """The dataset's rows with a prediction beside their right answers would have a score of 100 %."""
    task, path = get_task("question_answering"), write_rows(tmp_path / "told.jsonl", [given])
    settings = parse_settings(task.settings, {"answers_column": column}, "task")
    assert list(read_label_file(path, task, settings, column=None, id_column="id").labels.values()) == [told]


def test_a_runs_own_file_has_its_answers_in_a_column_of_that_name(tmp_path):
    written = {"id": "0", "source": "A fox.", "reference": "lost", "prediction": "It was found.", "answer": "found"}
    settings = parse_settings(TASK.settings, {"labels": LABELS, "label_column": "answer"}, "task")
    path = write_rows(tmp_path / "predictions.jsonl", [written])
    assert list(read_label_file(path, TASK, settings, column=None, id_column="id").labels.values()) == ["found"]


def test_an_empty_text_is_a_prediction_of_a_task_without_labels(tmp_path):
    """SQuAD's empty answer is the right one where the passage has none."""
    task = get_task("question_answering")
    asked = [{"id": str(number), "prediction": told} for number, told in enumerate(["", None, "no answer", "2"])]
    file = read_label_file(
        write_rows(tmp_path / "told.jsonl", asked), task, task.settings(), column=None, id_column="id"
    )
    assert list(file.labels.values()) == ["", "", "no answer", "2"]
