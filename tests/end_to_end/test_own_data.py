"""A user's own texts and labels: one CSV and a dozen YAML lines."""

import random

import pytest
from tiny import reviews, write_rows

from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import read_predictions

# As in docs/tutorials/own-data.md, but for the numbers and the model.
STUDY = """\
title: Our support tickets
task:
  name: sequence_classification
  text_column: message
  label_column: team
  labels: [billing, delivery, returns]
dataset: tickets.csv
num_validation_samples: 12
num_test_samples: 12
model_name_or_path: {model}
methods: [majority, lora]
training: {{num_train_epochs: 1}}
"""
COUNTS = {"billing": 40, "delivery": 20, "returns": 20}


@pytest.fixture
def tickets(tmp_path, tiny_bert):
    """`tickets(teams)`: a study of tickets.csv, whose messages were for these teams."""

    def write(teams):
        rows = zip(reviews(len(teams), seed=0), teams, strict=True)
        write_rows(tmp_path / "tickets.csv", [{"message": row["text"], "team": team} for row, team in rows])
        (tmp_path / "tickets.yaml").write_text(STUDY.format(model=tiny_bert))
        return "tickets.yaml"

    return write


def mixed(**counts):
    """Teams, so many of each, in random order."""
    teams = [team for team, count in counts.items() for _ in range(count)]
    return random.Random(0).sample(teams, len(teams))


def test_a_csv_and_a_dozen_lines_are_enough(tickets, command, tmp_path):
    assert len(STUDY.splitlines()) == 12
    status, output, errors = command("run", tickets(mixed(**COUNTS)), "--set", "max_length=96")
    assert status == 0, errors
    records = read_records(tmp_path / "runs/tickets")
    assert set(records) == {f"{row}-seed{seed}" for row in ("majority", "lora") for seed in range(3)}
    assert {record.tuning is not None for run, record in records.items() if run.startswith("lora")} == {True}
    for run in records:
        predictions = list(read_predictions(tmp_path / "runs/tickets" / run))
        assert {p["prediction"] for p in predictions} <= set(COUNTS)
        assert sorted(p["reference"] for p in predictions) == ["billing"] * 6 + ["delivery"] * 3 + ["returns"] * 3
    assert records["majority-seed0"].results["accuracy"] == 0.5  # billing has half of all, in every split
    assert "Accuracy" in output and "report: " in output


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["task.label_column=group"], "no column 'group'; it has message, team. Set task.label_column"),
        (["task.labels=[]"], "the dataset has billing (28), returns (14), delivery (14). Set task.labels to"),
        (["task.labels=[billing, delivery]"], "is 'returns'; expected one of billing, delivery"),
        (["num_validation_samples=null"], "cut from train, but num_validation_samples is not set"),
        (["num_test_samples=90"], "num_test_samples is 90, but train, from which they are cut, has 80 rows"),
    ],
)
def test_what_is_missing_is_one_clear_error(settings, words, tickets, command, tmp_path):
    options = [part for setting in settings for part in ("--set", setting)]
    status, _, errors = command("run", tickets(mixed(**COUNTS)), *options)
    assert status == 2
    assert words in errors and "Traceback" not in errors
    assert not (tmp_path / "runs").exists()


def test_one_class_only_is_one_clear_error(tickets, command):
    status, _, errors = command("run", tickets(mixed(billing=60)))
    assert status == 2 and "train examples are labeled 'billing'" in errors
