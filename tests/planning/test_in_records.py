"""A run is planned in its preflight check, and its record holds the plan next to the measurements."""

import pytest

from hf_peft_compare.orchestration import preflight
from hf_peft_compare.orchestration.jobs import jobs_of, planned
from hf_peft_compare.orchestration.worker import note_failure, train_one
from hf_peft_compare.planning.devices import MEASURED_RATE
from hf_peft_compare.records.record import read_record


@pytest.fixture
def job(tiny_study, tmp_path):
    """`job(row)`: one run of the tiny study, of which every row has another seed than the first."""
    study = tiny_study("seeds=[3]", "training.num_train_epochs=1")
    return lambda row: jobs_of(study, output_dir=tmp_path, rows=[row])[0]


def test_the_check_of_a_study_plans_its_rows(tiny_study):
    study = tiny_study(methods={"lead": {}, "zero_shot": {}, "full": {}})
    plans = preflight.check([config for config, _ in study.resolve_all()], num_processes=1)
    assert "lead" not in plans  # it uses no model
    assert plans["zero_shot"].num_train_steps == 0 and plans["full"].num_train_steps > 0
    for plan in plans.values():
        assert plan.time_basis == MEASURED_RATE
    # A method that trains nothing reads only the test split.
    assert plans["full"].lengths_basis == "counted in 38 examples of the data"
    assert plans["zero_shot"].lengths_basis == "counted in 6 examples of the data"


def test_more_processes_have_smaller_micro_batches(tiny_study):
    configs = [tiny_study().resolve(row="full", seed=0)[0]]
    one, two = (preflight.check(configs, num_processes=n)["full"] for n in (1, 2))
    assert (one.micro_batch_size, two.micro_batch_size) == (8, 4)
    assert two.memory.activations_bytes < one.memory.activations_bytes


def test_the_record_of_a_run_holds_its_plan(job):
    lora = job("lora")
    assert train_one(lora) == 0
    record = read_record(lora.folder)
    assert (record.plan.row, record.plan.seed) == ("lora", 3)
    assert record.plan.trainable_params == record.parameters.trainable_params
    assert record.plan.memory.optimizer_bytes == record.memory.optimizer_bytes


def test_a_run_that_dies_leaves_its_plan(job):
    lora = planned(job("lora"), preflight.check([job("lora").config], num_processes=1))
    note_failure(lora, "killed by signal 9")
    record = read_record(lora.folder)
    assert not record.finished and record.plan.memory.peak_bytes > 0
