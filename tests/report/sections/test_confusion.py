"""The section on classes counts answers, and is left out if there are no classes."""

import re
from collections import Counter

import pytest
from pages import read_table
from synthetic import Study, make_predictions, make_record, make_study_runs

from hf_peft_compare.comparison.class_answers import count_answers
from hf_peft_compare.report import write_report
from hf_peft_compare.report.sections.confusion import Confusion, _charted

LABELS = ["gain", "loss", "neither"]
# The answers of a row to four examples of each class.
ANSWERS = {
    "zero_shot": "gain none none loss, loss none none none, gain none none none",
    "full": "gain gain gain loss, loss loss loss loss, neither neither gain neither",
}


def lines_of(row):
    """Return predictions of a row; zero-shot generates text that is parsed, the other predicts a class."""
    pairs = [
        (label, answer)
        for label, answers in zip(LABELS, ANSWERS[row].split(", "), strict=True)
        for answer in answers.split()
    ]
    lines = make_predictions(row, num_examples=len(pairs))
    for line, (reference, answer) in zip(lines, pairs, strict=True):
        line["reference"] = reference
        read = {"prediction": f"It is {answer}", "answer": "no answer" if answer == "none" else answer}
        line |= read if row == "zero_shot" else {"prediction": answer}
    return lines


@pytest.fixture
def report(tmp_path):
    """Write the report of a small classification and give a page by name."""
    predictions = {f"{row}-seed0": lines_of(row) for row in ANSWERS}
    records = {run: make_record(run.removesuffix("-seed0"), predictions=lines) for run, lines in predictions.items()}
    for record in records.values():
        record.config["task"] = {"name": "sequence_classification", "labels": LABELS}
    folder = write_report(Study(methods={row: {} for row in ANSWERS}), records, predictions, tmp_path).parent
    return lambda name: (folder / name).read_text()


def test_every_class_has_its_f1_precision_and_recall(report):
    """Of full: gain is found 3 of 4 times and 3 of 4 that were taken for it are it; loss 4 of 4, and 4 of 5."""
    table = read_table(report("index.html"), "classes")
    assert table["gain"] == ["4", "0.333", "0.750"]
    assert table["loss"] == ["4", f"{2 / (4 + 2):.3f}", f"{8 / 9:.3f}"]
    assert table["neither"] == ["4", "0.000", f"{6 / 7:.3f}"]
    assert "0.800, 1.000" in report("index.html")  # precision and recall of loss
    for page in ("README.md", "tables.tex"):
        assert "F1 of every class" in report(page) and "0.889" in report(page)


def test_the_matrix_holds_every_answer_and_no_answer_has_a_column_of_its_own(report):
    page = report("index.html")
    assert "Full fine-tuning: gain as gain 3, loss 1, neither 0; loss as gain 0, loss 4, neither 0" in page
    assert "Zero-shot: gain as gain 1, loss 1, neither 0, no answer 2" in page
    numbers = re.findall(r">\s*(\d+)\s*</text>", report("figures/confusion_1.svg"))
    assert Counter(map(int, numbers)) == Counter([3, 1, 0, 0, 4, 0, 1, 0, 3])


def test_the_best_row_of_a_class_is_marked(report):
    table = report("index.html").split('id="table-classes"')[1].split("</table>")[0]
    assert table.count(" best") == len(LABELS)


def test_a_class_without_examples_or_answers_has_no_score():
    confusion = Confusion(labels=LABELS, counts=Counter({("gain", "gain"): 2, ("gain", "no answer"): 1}))
    assert confusion.f1("loss") is None and confusion.recall("loss") is None and confusion.precision("loss") is None
    assert (confusion.precision("gain"), confusion.recall("gain")) == (1.0, pytest.approx(2 / 3))


def test_of_many_rows_those_with_the_largest_share_of_correct_answers_are_drawn():
    """A row with fewer finished seeds has fewer correct answers, however good it is."""
    counts = {f"row {right}": Counter({("gain", "gain"): right, ("gain", "loss"): 30 - right}) for right in range(13)}
    counts["one seed"] = Counter({("gain", "gain"): 9, ("gain", "loss"): 1})
    found = [(row, Confusion(labels=LABELS, counts=by_answer)) for row, by_answer in counts.items()]
    assert [row for row, _ in _charted(found)][:2] == ["one seed", "row 12"]


def test_f1_is_that_of_the_metric():
    from hf_peft_compare.metrics.f1 import class_f1

    lines = lines_of("full")
    confusion = Confusion(labels=LABELS, counts=count_answers([lines]))
    expected = class_f1([line["prediction"] for line in lines], [line["reference"] for line in lines])
    assert {label: confusion.f1(label) for label in LABELS} == pytest.approx(expected)


def test_a_task_without_labels_has_no_such_section(tmp_path):
    path = write_report(Study(), *make_study_runs(), tmp_path)
    assert "table-classes" not in path.read_text()
