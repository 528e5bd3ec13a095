"""A known peft type has a learning rate of its own, which the study overrides as it does any default."""

import pytest
from peft import PeftType

from hf_peft_compare.config.search_spaces import LEARNING_RATE, space_of
from hf_peft_compare.core.method import Range, Rate
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.methods.peft_rates import INITS, RATES

PEFT = get_method("peft")
IA3 = RATES["IA3"].value


def start(study, row):
    """Return a row's learning rate and the layer that set it."""
    run, origins = study.resolve(row=row, seed=0)
    return run.training.learning_rate, origins[LEARNING_RATE]


@pytest.mark.parametrize("rate", [*RATES.values(), *INITS.values()], ids=[*RATES, *INITS])
def test_a_default_is_in_the_middle_of_what_is_searched_and_has_a_source(rate):
    assert 0.4 < rate.range.place(rate.value) < 0.6
    assert 900 < rate.range.high / rate.range.low < 1800
    assert rate.source


def test_a_range_has_round_bounds():
    assert Rate(5e-4, "").range == Range(low=2e-5, high=2e-2)
    assert Rate(3e-2, "").range == Range(low=1e-3, high=1.0)


def test_every_rate_is_that_of_a_type_of_peft():
    assert set(RATES) <= set(PeftType.__members__)
    assert len(PEFT.rates) == len(RATES) + len(INITS)


@pytest.mark.parametrize(
    ("settings", "value"),
    [
        ({"peft_type": "ia3"}, IA3),
        ({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"}, RATES["LORA"].value / 10),
        ({"peft_type": "LORA", "init_lora_weights": "gaussian"}, RATES["LORA"].value),
        ({"peft_type": "LORA", "init_lora_weights": True}, RATES["LORA"].value),
        ({"peft_type": "LN_TUNING"}, 1e-3),
        ({"peft_type": None}, 1e-3),
        ({}, 1e-3),
    ],
)
def test_settings_that_are_not_yet_checked_decide_the_rate(settings, value):
    assert PEFT.defaults_with(settings) == {"learning_rate": pytest.approx(value)}
    assert PEFT.tunables_with(settings)[LEARNING_RATE].holds(value)


@pytest.mark.parametrize("name", ["lora", "prompt_tuning"])
def test_a_method_of_the_package_and_its_peft_type_have_one_rate_and_one_range(name):
    own, settings = get_method(name), {"peft_type": name.upper()}
    assert PEFT.defaults_with(settings) == own.defaults_with({}) == own.training_defaults
    assert PEFT.tunables_with(settings)[LEARNING_RATE] == own.tunables[LEARNING_RATE]


def test_qlora_starts_at_its_papers_rate_and_is_searched_over_loras_range():
    assert get_method("qlora").training_defaults["learning_rate"] == 2e-4
    assert get_method("qlora").tunables[LEARNING_RATE] == RATES["LORA"].range


def test_a_row_starts_at_the_rate_of_its_type_which_is_a_default_of_the_method(tiny_study):
    study = tiny_study(methods={"ia3": {"peft_type": "IA3"}, "ln": {"peft_type": "LN_TUNING"}})
    assert start(study, "ia3") == (IA3, "method")
    assert start(study, "ln") == (1e-3, "method")
    assert study.rows_without_rate == ["ia3", "ln"]


def test_the_type_that_a_grid_or_the_command_line_sets_decides_the_rate(tiny_study):
    study = tiny_study(methods={"any": {"method": "peft", "grid": {"peft_type": ["IA3", "LORA"]}}})
    assert [start(study, row) for row in study.config.methods] == [(IA3, "method"), (RATES["LORA"].value, "method")]
    study = tiny_study("methods.any.peft_type=IA3", methods={"any": {"peft_type": "LORA"}})
    assert start(study, "any") == (IA3, "method")


def test_study_row_and_command_line_win_over_the_type(tiny_study):
    ia3 = {"peft_type": "IA3"}
    assert start(tiny_study(methods={"any": ia3}, training={"learning_rate": 2.0}), "any") == (2.0, "study")
    own = {"any": {**ia3, "training": {"learning_rate": 3.0}}}
    assert start(tiny_study(methods=own, training={"learning_rate": 2.0}), "any") == (3.0, "study method")
    assert start(tiny_study("training.learning_rate=4.0", methods=own), "any") == (4.0, "command line")


def test_the_rate_is_part_of_what_identifies_a_run(tiny_study):
    ia3 = {"peft_type": "IA3"}
    same = {"any": {**ia3, "training": {"learning_rate": IA3}}}
    before = {"any": {**ia3, "training": {"learning_rate": 1e-3}}}
    hashes = [tiny_study(methods=m).resolve(row="any", seed=0)[0].hash for m in ({"any": ia3}, same, before)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_budget_searches_the_range_of_the_type(tiny_study):
    study = tiny_study(methods={"ia3": {"peft_type": "IA3"}}, tune={"budget": "2 trials"})
    assert space_of(study, "ia3") == {LEARNING_RATE: RATES["IA3"].range}
