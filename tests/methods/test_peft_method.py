"""Any method of peft by its name, with errors that name what is valid."""

import pytest
import torch
from tiny import METHODS, tiny_model

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.methods.peft_method import PeftSettings, build_peft, peft_config


def settings(**values):
    return PeftSettings(**values)


def test_settings_reach_pefts_own_config():
    config = peft_config(
        settings(peft_type="LORA", r=3, lora_alpha=7, target_modules=["c_attn"], init_lora_weights="pissa")
    )
    assert type(config).__name__ == "LoraConfig"
    assert (config.r, config.lora_alpha, config.target_modules, config.init_lora_weights) == (3, 7, {"c_attn"}, "pissa")
    assert config.task_type == "CAUSAL_LM"


def test_the_peft_type_may_be_lower_case():
    assert type(peft_config(settings(peft_type="ia3"))).__name__ == "IA3Config"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peft_type": "LORRA"}, "unknown peft_type 'LORRA'. Did you mean 'LORA'"),
        (
            {"peft_type": "IA3", "target_module": []},
            "setting of peft's IA3Config 'target_module'. Did you mean 'target_modules'",
        ),
        ({"peft_type": "LORA", "r": "x", "rank": 3}, "unknown setting of peft's LoraConfig 'rank'"),
        (
            {"peft_type": "LORA", "target_modules": "c_attn", "layers_to_transform": [1]},
            "peft's LoraConfig rejects the settings: .*layers_to_transform",
        ),
    ],
)
def test_wrong_settings_are_user_errors(values, message):
    with pytest.raises(UserError, match=message):
        peft_config(settings(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peft_type": "LORA", "r": "x"}, "r is 'x': input should be a valid integer"),
        ({"peft_type": "LORA", "r": -1}, "`r` should be a positive integer"),
        ({"peft_type": "LORA", "target_modules": "("}, "missing \\), unterminated subpattern"),
        (
            {"peft_type": "LORA", "bias": "x"},
            "Requested bias: x, is not implemented. The model's linear layers: c_a",
        ),
        ({"peft_type": "LORA", "modules_to_save": ["nope"]}, "modules_to_save 'nope' not found"),
        ({"peft_type": "LORA", "modules_to_save": "ln_f"}, "modules_to_save is 'ln_f': input should be a valid list"),
        ({"peft_type": "LORA", "task_type": "CAUSAL"}, "unknown setting of peft's LoraConfig 'task_type'"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": "abc"}, "num_virtual_tokens is 'abc'"),
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 0}, "num_virtual_tokens is 0; expected a number above 0"),
        ({"peft_type": "P_TUNING"}, "num_virtual_tokens is None; expected"),
        ({"peft_type": "ADALORA", "total_step": 9}, "unknown setting of peft's AdaLoraConfig 'total_step'"),
        ({"peft_type": "OFT", "target_modules": ["c_attn"]}, "Conv1D.* is not supported"),
        ({"peft_type": "VBLORA", "vector_length": 7}, "must be divisible by `vector_length` 7"),
    ],
)
def test_what_peft_refuses_is_one_error_with_its_reason(values, message):
    with pytest.raises(UserError, match=message):
        build_peft(tiny_model(), settings(**values))


def test_a_choice_that_peft_reads_itself_is_left_to_it():
    assert peft_config(settings(peft_type="LORA", init_lora_weights="pissa_niter_4")).r == 8


def test_target_modules_that_the_model_does_not_have_are_named_with_those_it_has():
    for targets in (["q_proj"], ["c_attn", "q_proj"]):  # peft itself would skip the second silently
        with pytest.raises(UserError, match="'q_proj'.*linear layers: c_attn, c_fc, c_proj, lm_head"):
            build_peft(tiny_model(), settings(peft_type="LORA", target_modules=targets))


@pytest.mark.parametrize(("architecture", "target"), [("gpt2", "c_attn"), ("llama", "q_proj")])
def test_auto_targets_are_pefts_choice_for_the_architecture(architecture, target):
    model = build_peft(tiny_model(architecture), settings(peft_type="LORA", target_modules="auto"))
    assert any(f".{target}.lora_A." in name for name, _ in model.named_parameters())


def test_lora_starts_at_the_untouched_model():
    ids = torch.tensor([[5, 6, 7]])
    expected = tiny_model()(ids).logits
    model = build_peft(tiny_model(), settings(peft_type="LORA")).eval()
    torch.testing.assert_close(model(input_ids=ids).logits, expected)


def test_virtual_tokens_are_counted_for_prompt_learning_alone():
    method = get_method("peft")
    assert method.num_virtual_tokens(settings(**METHODS["p_tuning"])) == 4
    assert method.num_virtual_tokens(settings(peft_type="IA3")) == 0


@pytest.mark.parametrize("row", ["p_tuning", "peft_prompt_tuning"])
def test_labels_of_the_last_columns_give_the_loss_of_full_labels(row):
    values = {key: value for key, value in METHODS[row].items()}
    torch.manual_seed(0)
    model = build_peft(tiny_model(), settings(**values)).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    full = torch.tensor([[-100, -100, -100, 8, 9]])
    mask = torch.ones_like(ids)
    expected = model(input_ids=ids, attention_mask=mask, labels=full).loss
    cut = model(input_ids=ids, attention_mask=mask, labels=full[:, -3:], logits_to_keep=3).loss
    torch.testing.assert_close(cut, expected)
