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
    assert two.provenance.num_processes == 2
    assert [entry.step for entry in two.history] == [entry.step for entry in one.history]
    for name in ("loss", "eval_loss"):
        losses = [[v for e in record.history if (v := getattr(e, name)) is not None] for record in (one, two)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert two.results == pytest.approx(one.results, abs=1e-5)
    assert two.throughput.num_train_tokens == one.throughput.num_train_tokens

    alone, shared = (list(read_predictions(folder)) for folder in folders)
    assert len(shared) == ODD["num_test_samples"]
    assert [row["id"] for row in shared] == [row["id"] for row in alone]
    assert [row["prediction"] for row in shared] == [row["prediction"] for row in alone]


def test_run_starts_several_processes_itself(study_file, command, tmp_path):
    path = study_file(methods={"lora": {"r": 4}})
    status, output, errors = command("run", path, "--num-processes", 2)
    assert status == 0, errors
    assert read_record(tmp_path / "runs/tiny/lora-seed0").provenance.num_processes == 2


FIVE_STEPS = {
    "methods": {"lora": {"r": 4, "training": {"gradient_checkpointing": True}}, "full": {}, "zero_shot": {}},
    "num_train_samples": 40,
    "training": {"num_train_epochs": 1},
    **ODD,
}


def test_sharded_over_two_processes_a_run_is_that_of_one(study_file, command, train, tmp_path):
    """FSDP as we ship it: each process holds half of every parameter."""
    path = study_file(NO_DROPOUT, **FIVE_STEPS)
    options = ["--num-processes", 2, "--accelerate-config", "fsdp"]
    status, output, errors = command("run", path, *options, "--set", NO_DROPOUT)
    assert status == 0, output + errors
    for row in FIVE_STEPS["methods"]:
        folder, alone = tmp_path / f"runs/tiny/{row}-seed0", train(row, NO_DROPOUT, **FIVE_STEPS)
        sharded = read_record(folder)
        assert sharded.notes == ["Parameters were sharded over 2 processes (FSDP)."]
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
