"""Two processes give the metrics of one at the same global batch."""

import sys

import pytest
from tiny import NO_DROPOUT

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.orchestration.accelerate_configs import find_accelerate_config
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.utils.distributed import asks_for_sharding

SHARDED = "Parameters were sharded over 2 processes (FSDP)."
ODD = {"num_test_samples": 5, "num_validation_samples": 7}  # neither divides by two
# Rows one after the other in the same two processes, whose start takes longer than all runs.
TRAIN = """
import sys
from hf_peft_compare.cli.main import main

study, setting, *rows = sys.argv[1:]
for row in rows:
    assert main(["train", study, "--method", row, "--set", setting, "--output-dir", "two"]) == 0
"""


@pytest.fixture
def in_two_processes(study_file, process, tmp_path):
    """`in_two_processes(rows, *options)`: the folder of a study whose rows were run under `accelerate launch`."""

    def run(rows, *options, **keys):
        (tmp_path / "train.py").write_text(TRAIN)
        launch = [sys.executable, "-m", "accelerate.commands.launch", *options, "--num_processes", "2"]
        command = [*launch, "--main_process_port", "0", "train.py"]
        status, output, errors = process(study_file(**keys), NO_DROPOUT, *rows, command=command)
        assert status == 0, output + errors
        return tmp_path / "two/tiny"

    return run


def test_two_processes_give_the_metrics_of_one_and_score_each_example_once(in_two_processes, train, tmp_path):
    rows = ["lora", "prompt_tuning", "last_layers"]  # the last with a cache that both fill
    folder = in_two_processes(rows, "--multi_gpu", **ODD)
    for row in rows:
        one, two = train(row, NO_DROPOUT, **ODD), read_record(folder / f"{row}-seed0")
        assert two.provenance.num_processes == 2
        assert [entry.step for entry in two.history] == [entry.step for entry in one.history]
        for name in ("loss", "eval_loss"):
            losses = [[v for e in record.history if (v := getattr(e, name)) is not None] for record in (one, two)]
            assert losses[1] == pytest.approx(losses[0], abs=1e-5)
        assert two.results == pytest.approx(one.results, abs=1e-5)
        assert two.throughput.num_train_tokens == one.throughput.num_train_tokens

        alone, shared = (list(read_predictions(place / f"{row}-seed0")) for place in (tmp_path, folder))
        assert len(shared) == ODD["num_test_samples"]
        assert [row["id"] for row in shared] == [row["id"] for row in alone]
        assert [row["prediction"] for row in shared] == [row["prediction"] for row in alone]


def test_run_starts_several_processes_itself(study_file, command, tmp_path):
    path = study_file(**{**FIVE_STEPS, "methods": {"lora": FIVE_STEPS["methods"]["lora"]}})
    status, output, errors = command("run", path, "--num-processes", 2, "--accelerate-config", "fsdp")
    assert status == 0, errors
    record = read_record(tmp_path / "runs/tiny/lora-seed0")
    assert record.provenance.num_processes == 2 and SHARDED in record.notes


FIVE_STEPS = {
    "methods": {"lora": {"r": 4, "training": {"gradient_checkpointing": True}}, "full": {}, "zero_shot": {}},
    "num_train_samples": 40,
    "training": {"num_train_epochs": 1},
    **ODD,
}


def test_sharded_over_two_processes_a_run_is_that_of_one(in_two_processes, train, tmp_path):
    """FSDP as we ship it: each process holds half of every parameter."""
    study = in_two_processes(FIVE_STEPS["methods"], "--config_file", str(find_accelerate_config("fsdp")), **FIVE_STEPS)
    for row in FIVE_STEPS["methods"]:
        folder, alone = study / f"{row}-seed0", train(row, NO_DROPOUT, **FIVE_STEPS)
        sharded = read_record(folder)
        assert sharded.notes == [SHARDED]
        assert sharded.parameters == alone.parameters
        assert sharded.results == pytest.approx(alone.results, abs=1e-5)
        written, alone_written = map(read_predictions, (folder, tmp_path / folder.name))
        assert [r["prediction"] for r in written] == [r["prediction"] for r in alone_written]
        if row == "zero_shot":
            continue
        losses = [[e.loss for e in record.history if e.loss is not None] for record in (sharded, alone)]
        assert len(losses[0]) == 5
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        assert vars(sharded.validation) == pytest.approx(vars(alone.validation), abs=1e-5)
        assert sharded.initial_trainables_sha256 == alone.initial_trainables_sha256 != sharded.final_trainables_sha256
        for held in ("weights_bytes", "gradients_bytes"):
            assert getattr(sharded.memory, held) == getattr(alone.memory, held) / 2
        loaded = load_run(folder).model  # saved whole, by its own names
        assert count_parameters(loaded)["total_params"] == alone.parameters.total_params


def test_an_accelerate_config_needs_several_processes(study_file, command):
    path = study_file(methods={"lora": {"r": 4}})
    status, _, errors = command("run", path, "--num-processes", 1, "--accelerate-config", "fsdp")
    assert status == 2 and "--num-processes to 2 or more" in errors
    status, _, errors = command("run", path, "--accelerate-config", "fsdpp")
    assert status == 2 and "deepspeed_zero2, fsdp, multi_gpu" in errors


@pytest.mark.parametrize(
    "told",
    [
        {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"},
        {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
    ],
)
def test_sharding_that_leaves_no_parameters_by_name_is_refused(told, monkeypatch):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="hashed"):
        asks_for_sharding()


@pytest.mark.parametrize("name", ["multi_gpu", "fsdp", "deepspeed_zero2"])
def test_accelerate_reads_the_configs(name):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(find_accelerate_config(name)))
    assert config.distributed_type == name.split("_zero")[0].upper()
    assert config.num_processes > 1
