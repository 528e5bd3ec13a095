"""Two processes give the metrics of one at the same global batch."""

import sys

import pytest
from tiny import NO_DROPOUT

from hf_peft_compare.records import read_predictions, read_record

ODD = {"num_test_samples": 5, "num_validation_samples": 7}  # neither divides by two
LAUNCH = [
    sys.executable,
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes",
    "2",
    "-m",
    "hf_peft_compare",
]


@pytest.fixture
def both(study_file, process, tmp_path):
    """`both(row)`: the run's folder of one process, and of two under `accelerate launch`."""

    def run(row):
        path = study_file(NO_DROPOUT, **ODD)
        arguments = ["train", path, "--method", row, "--set", NO_DROPOUT]
        status, _, errors = process(*arguments, "--output-dir", "one")
        assert status == 0, errors
        status, _, errors = process(*arguments, "--output-dir", "two", command=LAUNCH)
        assert status == 0, errors
        return [tmp_path / place / f"tiny/{row}-seed0" for place in ("one", "two")]

    return run


@pytest.mark.parametrize("row", ["lora", "prompt_tuning", "last_layers"])  # the last with a cache that both fill
def test_two_processes_give_the_metrics_of_one_and_score_each_example_once(row, both):
    folders = both(row)
    one, two = map(read_record, folders)
    assert two.provenance["num_processes"] == 2
    assert [entry["step"] for entry in two.history] == [entry["step"] for entry in one.history]
    for name in ("loss", "eval_loss"):
        losses = [[entry[name] for entry in record.history if name in entry] for record in (one, two)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert two.results == pytest.approx(one.results, abs=1e-5)
    assert two.throughput["num_train_tokens"] == one.throughput["num_train_tokens"]

    alone, shared = (list(read_predictions(folder)) for folder in folders)
    assert len(shared) == ODD["num_test_samples"]
    assert [row["id"] for row in shared] == [row["id"] for row in alone]
    assert [row["prediction"] for row in shared] == [row["prediction"] for row in alone]


def test_run_starts_several_processes_itself(study_file, command, tmp_path):
    path = study_file(methods={"lora": {"r": 4}})
    status, output, errors = command("run", path, "--num-processes", 2)
    assert status == 0, errors
    assert read_record(tmp_path / "runs/tiny/lora-seed0").provenance["num_processes"] == 2
