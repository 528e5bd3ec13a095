"""How runs are divided over processes."""

import multiprocessing
import os

import pytest

from hf_peft_compare.orchestration import launcher
from hf_peft_compare.orchestration.launcher import most_processes
from hf_peft_compare.utils.remote_code import TRUST_VARIABLE, trusting


@pytest.mark.parametrize(
    ("batch", "accumulation", "num_gpus", "expected"),
    [(8, 1, 4, 4), (8, 1, 3, 2), (8, 4, 4, 2), (8, 8, 4, 1), (9, 1, 4, 3), (8, 1, 0, 1), (8, 1, 1, 1)],
)
def test_a_run_takes_as_many_gpus_as_its_effective_batch_divides_into(
    batch, accumulation, num_gpus, expected, tiny_study
):
    settings = [f"training.train_batch_size={batch}", f"training.gradient_accumulation_steps={accumulation}"]
    config, _ = tiny_study(*settings).resolve(row="lora", seed=0)
    assert most_processes([config], num_gpus) == expected


def test_child_processes_know_whether_models_may_run_code_of_their_own():
    for allowed in (True, False):
        with trusting(allowed):
            found = launcher._in_child(multiprocessing.get_context("spawn"), os.getenv, TRUST_VARIABLE)
        assert found == ("1" if allowed else None)
