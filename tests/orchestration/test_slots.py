"""Slots: how many runs are done at once, and which share of the machine each has."""

import os

import pytest
import torch

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration import slots
from hf_peft_compare.orchestration.children import call_in_child
from hf_peft_compare.orchestration.slots import SMALL_STEP, Slot, check_parallel, slots_of
from hf_peft_compare.records import provenance
from hf_peft_compare.records.plan import MemoryPlan, RunPlan


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)


def make_plan(*, flops_per_step, peak_share=0.01):
    sizes = dict.fromkeys(("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes"), 0)
    memory = MemoryPlan(
        peak_bytes=round(1000 * peak_share),
        at_train_peak={},
        train_peak_bytes=None,
        evaluation_peak_bytes=0,
        available_bytes=1000,
        fits=peak_share < 1,
        **sizes,
    )
    names = {name: "" for name in ("study", "row", "method", "title", "device", "precision")}
    flops = None if flops_per_step is None else 10 * flops_per_step
    basis = {"lengths_basis": "", "time_basis": ""}
    return RunPlan(**names, **basis, seed=0, flops={"train": flops}, seconds={}, memory=memory, num_train_steps=10)


def test_one_run_at_a_time_has_the_whole_machine():
    assert slots_of(1, num_gpus=0, num_jobs=9, plans=[]) == [Slot()]
    assert slots_of(1, num_gpus=2, num_jobs=9, plans=[]) == [Slot()]


def test_runs_side_by_side_share_the_cores_evenly():
    assert slots_of(2, num_gpus=0, num_jobs=9, plans=[]) == [Slot(num_threads=2, side_by_side=2)] * 2


def test_there_are_no_more_slots_than_runs():
    assert slots_of(4, num_gpus=0, num_jobs=2, plans=[]) == [Slot(num_threads=2, side_by_side=2)] * 2
    assert slots_of(4, num_gpus=0, num_jobs=1, plans=[]) == [Slot()]


def test_automatically_each_gpu_has_a_run():
    found = slots_of("auto", num_gpus=2, num_jobs=9, plans=[])
    assert [slot.gpu for slot in found] == ["0", "1"] and {slot.num_threads for slot in found} == {None}


def test_more_runs_than_gpus_share_them():
    found = slots_of(4, num_gpus=2, num_jobs=9, plans=[])
    assert [slot.gpu for slot in found] == ["0", "1", "0", "1"] and found[0].side_by_side == 4


@pytest.mark.parametrize(
    ("of_small_step", "peak_share", "expected"), [(0.5, 0.1, 4), (2.0, 0.1, 1), (0.5, 0.3, 2), (0.5, 2.0, 1)]
)
def test_automatically_small_models_run_side_by_side_as_far_as_memory_goes(of_small_step, peak_share, expected):
    plan = make_plan(flops_per_step=of_small_step * SMALL_STEP, peak_share=peak_share)
    assert len(slots_of("auto", num_gpus=0, num_jobs=9, plans=[make_plan(flops_per_step=1e6), plan])) == expected


def test_a_plan_without_figures_is_no_reason_for_runs_side_by_side():
    plan = make_plan(flops_per_step=None)
    assert slots_of("auto", num_gpus=0, num_jobs=9, plans=[plan]) == [Slot()]
    assert slots_of("auto", num_gpus=0, num_jobs=9, plans=[]) == [Slot()]


def test_more_runs_than_cores_are_refused():
    with pytest.raises(UserError, match="--max-parallel is 5, but there are 4 CPU core"):
        slots_of(5, num_gpus=0, num_jobs=9, plans=[])


@pytest.mark.parametrize(
    ("max_parallel", "num_processes", "error"),
    [
        (0, None, "max_parallel is 0; expected a number of runs"),
        ("all", None, "max_parallel is 'all'; expected"),
        (2, 4, "--max-parallel is 2 and --num-processes 4, but runs side by side have one process each"),
    ],
)
def test_what_makes_no_sense_is_refused(max_parallel, num_processes, error):
    with pytest.raises(UserError, match=error):
        check_parallel(max_parallel, num_processes)
    check_parallel("auto", 1)


def _share_of(slot):
    slot.take()
    made = provenance.collect(precision="fp32", num_processes=1)
    return torch.get_num_threads(), os.environ.get("CUDA_VISIBLE_DEVICES"), made.num_threads, made.side_by_side


def test_a_process_keeps_to_its_share_and_the_record_says_which():
    threads, gpu, recorded, side_by_side = call_in_child(_share_of, slots.Slot(gpu="1", num_threads=1, side_by_side=3))
    assert (threads, gpu, recorded, side_by_side) == (1, "1", 1, 3)
