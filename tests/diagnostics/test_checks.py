"""The doctor finds no problem in healthy rows, and in a broken row exactly the broken part."""

import json
import os
from dataclasses import replace
from functools import wraps

import pytest
import torch
from tiny import CLASSIFIERS, METHODS
from torch import nn

from hf_peft_compare.cli import doctor
from hf_peft_compare.cli import main as cli
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.diagnostics import checks
from hf_peft_compare.diagnostics.context import for_examination, switch_dropout_off
from hf_peft_compare.diagnostics.examining import examine
from hf_peft_compare.diagnostics.results import DOES_NOT_APPLY, PASSED, PROBLEM
from hf_peft_compare.methods import last_layers, lora
from hf_peft_compare.models import loading
from hf_peft_compare.models.prompt_tuning import PromptTuningModel
from hf_peft_compare.planning.planner import configs_of
from hf_peft_compare.training import factory

MERGED = ("lora", "dora", "ia3", "qlora")  # those that are not a plain model already
DRAWN = ("loreft", "lora", "dora", "qlora", "prefix_tuning", "p_tuning", "peft_prompt_tuning")


def replace_set_seed(monkeypatch, set_seed):
    """Replace transformers' `set_seed` in both modules that call it: each may hold its own lazy module object."""
    for module in (factory, loading):
        monkeypatch.setattr(module.transformers, "set_seed", set_seed)


@pytest.fixture
def findings(tiny_study):
    """`findings(row, "key=value", …)`: what the doctor finds in one row of the tiny study, by check."""

    def find(row, *overrides, **keys):
        (examination,) = examine(configs_of(tiny_study(*overrides, **keys), [row]))
        assert examination.row == row
        return examination.findings

    return find


@pytest.fixture
def after_build(monkeypatch):
    """`after_build(change)`: every model that peft builds is changed in place."""

    def arrange(change):
        build = lora.build_peft

        def build_and_change(*args, **kwargs):
            model = build(*args, **kwargs)
            change(model)
            return model

        monkeypatch.setattr(lora, "build_peft", build_and_change)

    return arrange


def problems(findings):
    return {name for name, finding in findings.items() if finding.status == PROBLEM}


def status(findings):
    return {name: finding.status for name, finding in findings.items()}


@pytest.mark.parametrize("row", METHODS)
@pytest.mark.parametrize("base", ["tiny_gpt2", "tiny_llama"])
def test_healthy_language_models_pass(row, base, findings, request):
    found = findings(row, f"model_name_or_path={request.getfixturevalue(base)}")
    assert problems(found) == set(), found
    for name in ("gradients", "effect", "cache", "padding", "accumulation"):
        assert found[name].status == PASSED
    assert (found["frozen_base"].status == PASSED) == (row != "full")
    assert (found["seed"].status == PASSED) == (row in DRAWN)
    assert (found["merging"].status == PASSED) == (row in MERGED)
    assert (found["tied_head"].status == PASSED) == row.startswith("last_layer")


@pytest.mark.parametrize(
    ("base", "row"), [*(("tiny_bert", row) for row in CLASSIFIERS), ("tiny_gpt2", "lora"), ("tiny_gpt2", "full")]
)
def test_healthy_classifiers_pass(row, base, findings, classifying, request):
    found = findings(row, f"model_name_or_path={request.getfixturevalue(base)}", **classifying)
    assert problems(found) == set(), found
    for name in ("seed", "gradients", "padding", "accumulation"):  # a class head is initialized at random
        assert found[name].status == PASSED
    assert (found["effect"].status == PASSED) == ("features" not in row)  # its base has no classification head
    assert found["cache"].status == found["tied_head"].status == DOES_NOT_APPLY


def test_what_trains_nothing_is_still_asked_whether_padding_matters(findings):
    found = status(findings("zero_shot", methods={"zero_shot": {}}))
    of_data, of_base = {"splits", "ids", "overlap"}, {"weights", "vocabulary"}
    assert {name for name, s in found.items() if s == PASSED} == {"cache", "padding", *of_data, *of_base}
    found = status(findings("lead", methods={"lead": {}}))
    assert {name for name, s in found.items() if s != DOES_NOT_APPLY} == of_data


def test_what_begins_at_zero_gets_its_gradient_in_step_two(findings):
    assert findings("lora")["gradients"].found.startswith("8 of 16 in step 1, 8 more in step 2")
    assert "lora_A" in findings("lora")["gradients"].found


@pytest.mark.parametrize(
    "set_seed",
    [lambda seed: None, lambda seed: torch.manual_seed(42)],
    ids=["never set", "the same for all"],
)
def test_a_seed_that_does_not_reach_the_adapter(set_seed, findings, monkeypatch):
    replace_set_seed(monkeypatch, set_seed)
    assert problems(findings("lora")) == {"seed"}


def test_a_seed_that_is_set_after_the_model_is_built(findings, monkeypatch):
    build = factory.build

    def set_too_late(config, **kwargs):
        built = build(replace(config, seed=0), **kwargs)
        torch.manual_seed(config.seed)
        return built

    monkeypatch.setattr(factory, "build", set_too_late)
    assert problems(findings("lora")) == {"seed"}


def test_a_seed_that_the_method_sets_itself(findings, monkeypatch):
    build = lora.build_peft
    monkeypatch.setattr(lora, "build_peft", lambda *args: (torch.manual_seed(7), build(*args))[1])
    assert problems(findings("lora")) == {"seed"}


def test_a_parameter_that_is_never_used(findings, after_build):
    after_build(lambda model: model.register_parameter("unused", nn.Parameter(torch.zeros(3))))
    found = findings("lora")
    assert problems(found) == {"gradients"}
    assert found["gradients"].found.endswith("none for unused")


def test_a_base_that_changes_while_it_trains(findings, after_build):
    def change(model):
        weight = model.get_input_embeddings().weight

        def nudge(module, args):
            if module.training:
                with torch.no_grad():
                    weight[1, 0] += 1e-3  # of a token that no text has

        model.register_forward_pre_hook(nudge)

    after_build(change)
    found = findings("lora")
    assert problems(found) == {"frozen_base"}
    assert "1 of 28 tensors changed: base_model.model.transformer.wte.weight" in found["frozen_base"].found


def test_a_head_that_is_trained_with_the_embedding(findings, monkeypatch):
    monkeypatch.setattr(last_layers, "untie_head", lambda model: None)
    assert problems(findings("last_layer_head")) == {"tied_head"}


def test_a_prompt_that_is_left_out_in_evaluation(findings, monkeypatch):
    forward = PromptTuningModel.forward

    def only_in_training(self, *args, **kwargs):
        return forward(self, *args, **kwargs) if self.training else self.base(*args, **kwargs)

    monkeypatch.setattr(PromptTuningModel, "forward", only_in_training)
    monkeypatch.setattr(PromptTuningModel, "generate", lambda self, **settings: self.base.generate(**settings))
    assert problems(findings("prompt_tuning")) == {"effect"}


def rewired(model, change):
    """Make a base's forward receive its arguments as changed by `change(base, arguments)`."""
    base = model.get_base_model()
    forward = base.forward

    @wraps(forward)
    def changed(*args, **kwargs):
        change(base, kwargs)
        return forward(*args, **kwargs)

    base.forward = changed


def test_positions_that_are_lost_with_a_cache(findings, after_build):
    def forget_positions(base, kwargs):
        cache = kwargs.get("past_key_values")
        if cache is not None and cache.get_seq_length() > 0:
            kwargs["position_ids"] = torch.zeros_like(kwargs["input_ids"])

    after_build(lambda model: rewired(model, forget_positions))
    assert problems(findings("lora")) == {"cache"}


def test_an_attention_mask_that_is_ignored(findings, after_build):
    def see_all(base, kwargs):
        if not base.training:
            kwargs["attention_mask"] = torch.ones_like(kwargs["attention_mask"])
            kwargs.pop("position_ids", None)

    after_build(lambda model: rewired(model, see_all))
    assert problems(findings("lora")) == {"padding"}


def test_a_loss_that_is_averaged_in_each_micro_batch(findings, after_build):
    after_build(lambda model: rewired(model, lambda base, kwargs: kwargs.pop("num_items_in_batch", None)))
    assert problems(findings("lora")) == {"accumulation"}


def test_a_merge_that_loses_the_adapter(findings, after_build):
    after_build(lambda model: setattr(model, "merge_and_unload", model.unload))
    assert problems(findings("lora")) == {"merging"}


def test_a_check_that_cannot_be_carried_out_is_a_problem_of_its_own(findings, monkeypatch):
    def cache(context):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("hf_peft_compare.diagnostics.examining.CHECKS", [checks.gradients, cache])
    found = findings("lora")
    assert found["cache"].status == PROBLEM
    assert found["cache"].found == "RuntimeError: no such kernel"
    assert found["gradients"].status == PASSED


def test_the_command_prints_expected_and_found_values(tiny_study, tmp_path, capsys, monkeypatch):
    tiny_study(methods={"lora": {"r": 4}, "lead": {}})
    study = str(tmp_path / "tiny.yaml")
    assert cli.main(["doctor", study]) == 0
    printed = capsys.readouterr().out
    assert "lora (LoRA)" in printed
    assert "expected: the same logits after merging" in printed
    assert "28 checks of 2 rows: 16 ok, 0 problem, 12 does not apply" in printed
    replace_set_seed(monkeypatch, lambda seed: None)
    assert cli.main(["doctor", study, "--method", "lora", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is False
    assert [row["row"] for row in printed["rows"]] == ["lora"]
    assert printed["rows"][0]["findings"]["seed"]["status"] == PROBLEM


def test_json_stands_alone_whatever_libraries_print(tiny_study, tmp_path, capfd, monkeypatch):
    def load_loudly(*arguments):
        os.write(1, b"a library's greeting\n")
        print("a warning")
        return load_study(*arguments)

    tiny_study(methods={"lead": {}})
    monkeypatch.setattr(doctor, "load_study", load_loudly)
    assert cli.main(["doctor", str(tmp_path / "tiny.yaml"), "--json"]) == 0
    output, errors = capfd.readouterr()
    assert [row["row"] for row in json.loads(output)["rows"]] == ["lead"]
    assert "a library's greeting" in errors and "a warning" in errors


def test_bad_input_ends_the_command(tiny_study, tmp_path, capsys):
    tiny_study(methods={"lora": {"r": 4}})
    study = str(tmp_path / "tiny.yaml")
    assert cli.main(["doctor", study, "--method", "lorra"]) == 2
    assert "Did you mean 'lora'?" in capsys.readouterr().err
    assert cli.main(["doctor", study, "--set", "model_name_or_path=/nowhere"]) == 2


def test_a_completion_that_does_not_fit_is_bad_input_as_in_a_run(tiny_study):
    with pytest.raises(UserError, match="max_length"):
        list(examine(configs_of(tiny_study("max_length=12"), ["lora"])))
    with pytest.raises(UserError, match="training settings of lora"):
        list(examine(configs_of(tiny_study("training.optim=adamm"), ["lora"])))


def test_dropout_is_switched_off_wherever_it_is_kept(build):
    model = build("lora", methods={"lora": {"r": 4, "lora_dropout": 0.5}}).model.train()
    ids = torch.arange(5, 25)[None]
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    switch_dropout_off(model)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def test_an_examination_trains_a_few_steps_whatever_the_study_trains(tiny_study):
    (config,) = configs_of(tiny_study("training.num_train_epochs=9", "training.warmup_ratio=0.5"), ["lora"])
    training = for_examination(config).training
    assert (training.max_steps, training.warmup_ratio, training.learning_rate) == (
        2,
        0.0,
        config.training.learning_rate,
    )
