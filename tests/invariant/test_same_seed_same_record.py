"""A run is a pure function of its config and seed: all but its clocks can be had again, bit for bit."""

from dataclasses import asdict

import pytest
from tiny import METHODS

from hf_peft_compare.models.trainable_parameters import hash_trainables
from hf_peft_compare.records.run_folder import read_predictions


def without_measurements(record):
    """A record without what depends on the clock and the machine's memory."""
    tree = asdict(record)
    for key in ("seconds", "memory"):
        tree.pop(key)
    tree["throughput"] = {key: value for key, value in tree["throughput"].items() if not key.endswith("_per_second")}
    tree["provenance"].pop("started_at")
    return tree


@pytest.mark.parametrize("row", ["prompt_tuning", "lora", "p_tuning", "full"])
def test_same_seed_gives_the_same_record(row, train, tmp_path):
    first, second = train(row, folder="first"), train(row, folder="second")
    assert without_measurements(first) == without_measurements(second)
    assert list(read_predictions(tmp_path / "first")) == list(read_predictions(tmp_path / "second"))


def test_another_seed_gives_another_run_on_the_same_data(train):
    first, second = train("lora", seed=0), train("lora", seed=1)
    assert first.initial_trainables_sha256 != second.initial_trainables_sha256
    assert first.final_trainables_sha256 != second.final_trainables_sha256
    assert first.results["test_loss"] != second.results["test_loss"]
    assert first.provenance.data_fingerprint == second.provenance.data_fingerprint


RANDOMLY_INITIALISED = {
    "lora": METHODS["lora"],
    "dora": METHODS["dora"],
    "prefix_tuning": METHODS["prefix_tuning"],
    "p_tuning": METHODS["p_tuning"],
    "peft_prompt_tuning": METHODS["peft_prompt_tuning"],
    "random": {"method": "prompt_tuning", "num_virtual_tokens": 4, "prompt_tuning_init": "RANDOM"},
    "vocabulary": {"method": "prompt_tuning", "num_virtual_tokens": 4, "prompt_tuning_init": "SAMPLE_VOCAB"},
}


@pytest.mark.parametrize("row", RANDOMLY_INITIALISED)
def test_the_seed_reaches_the_initial_adapter(row, build):
    seeds = (0, 0, 1)
    first, again, other = (hash_trainables(build(row, seed=s, methods=RANDOMLY_INITIALISED).model) for s in seeds)
    assert first == again
    assert first != other


def test_a_text_is_the_same_start_for_every_seed(build):
    assert hash_trainables(build("prompt_tuning", seed=0).model) == hash_trainables(
        build("prompt_tuning", seed=1).model
    )
