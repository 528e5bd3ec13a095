"""Counts come from the architecture alone, and are those of a model really built."""

import pytest
from tiny import MAIN_STUDY_COUNTS, METHODS

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.models.trainable_parameters import count_parameters
from hf_peft_compare.planning.planner import plan_study


@pytest.fixture(scope="module")
def main_study():
    """The plan of the main study, without network."""
    study = load_study("gpt2-cnn-dailymail")
    return plan_study([config for config, _ in study.resolve_all()], device="h200")


def test_the_main_study_has_the_counts_of_its_reference(main_study):
    assert {run.row: run.trainable_params for run in main_study.runs if run.trainable_params} == MAIN_STUDY_COUNTS
    assert {run.row: run.total_params for run in main_study.runs}["zero_shot"] == 124_439_808


def test_what_uses_no_model_costs_nothing(main_study):
    lead = main_study.runs[0]
    assert (lead.row, lead.trainable_params, lead.total_flops, lead.total_seconds) == ("lead", None, 0, 0)
    assert lead.memory is None


@pytest.mark.parametrize("row", METHODS)
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_counts_are_those_of_the_model_that_is_built(row, architecture, build, tiny_study, request):
    base = f"model_name_or_path={request.getfixturevalue(f'tiny_{architecture}')}"
    plan = plan_study([tiny_study(base).resolve(row=row, seed=0)[0]]).runs[0]
    built = count_parameters(build(row, base).model)
    assert {"trainable_params": plan.trainable_params, "total_params": plan.total_params} == built


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ("lora", ["methods.lora.r=1"]),
        ("lora", ["methods.lora.r=8", "architecture.n_layer=3"]),
        ("prompt_tuning", ["methods.prompt_tuning.num_virtual_tokens=9"]),
        ("prompt_tuning", ["architecture.n_embd=48"]),
        ("last_layers", ["methods.last_layers.num_layers=2", "architecture.n_layer=5"]),
        ("full", ["architecture.n_layer=1", "architecture.n_embd=16"]),
        ("full", ["architecture.tie_word_embeddings=false"]),
    ],
)
def test_counts_follow_rank_virtual_tokens_depth_and_width(row, settings, build, tiny_study):
    settings = [*settings, "init=config"]
    plan = plan_study([tiny_study(*settings).resolve(row=row, seed=0)[0]]).runs[0]
    built = count_parameters(build(row, *settings).model)
    assert (plan.trainable_params, plan.total_params) == (built["trainable_params"], built["total_params"])
