"""Cards: every method says what it is, why it works and where that stands, by its settings where these decide it."""

import re

import pytest

from hf_peft_compare.core.registry import get_method
from hf_peft_compare.methods.peft_cards import CARDS
from hf_peft_compare.report.formulas import formula_mathml


@pytest.mark.parametrize("peft_type", CARDS)
def test_a_known_type_of_peft_has_a_card_of_its_own(peft_type):
    from peft import PeftType

    assert peft_type in PeftType.__members__
    method = get_method("peft")
    card = method.describe(method.settings(peft_type=peft_type.lower()))
    assert card["title"] != "peft"
    assert all(card[key] for key in ("idea", "formula", "parameter_count", "when_to_use", "paper"))
    assert card["url"].startswith("https://arxiv.org/abs/")
    assert formula_mathml(card["formula"]) is not None


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({}, "LoRA"),
        ({"use_dora": True, "optimizer": "loraplus"}, "DoRA"),
        ({"optimizer": "loraplus"}, "LoRA+"),
        ({"optimizer": "lorafa"}, "LoRA-FA"),
        ({"optimizer": "riemannian"}, "LoRA (Riemannian)"),
        ({"use_rslora": True}, "rsLoRA"),
        ({"bits": 8}, "LoRA on 8 bits"),
        ({"bits": 4}, "QLoRA"),
    ],
)
def test_a_variant_of_lora_has_a_card_of_its_own(settings, title):
    method = get_method("qlora" if "bits" in settings else "lora")
    card = method.describe(method.settings(**settings))
    assert card["title"] == title
    assert formula_mathml(card["formula"]) is not None


def test_pissa_is_a_lora_that_starts_elsewhere():
    method = get_method("peft")
    assert method.describe(method.settings(peft_type="LORA", init_lora_weights="pissa_niter_4"))["title"] == "PiSSA"
    assert method.describe(method.settings(peft_type="LORA"))["title"] == "LoRA"


def test_any_other_type_of_peft_has_the_card_of_the_library():
    method = get_method("peft")
    assert method.describe(method.settings(peft_type="RANDLORA"))["title"] == "peft"


@pytest.mark.parametrize(
    "name", ["prompt_tuning", "last_layers", "lora", "full", "zero_shot", "one_shot", "few_shot", "expert", "p_tuning"]
)
def test_a_card_gives_the_theory_with_its_sources(name):
    theory = CARDS["P_TUNING"][1].theory if name == "p_tuning" else get_method(name).card.theory
    assert re.search(r"\([A-Z][a-z]+ et al\. \d{4}\)", theory)


def test_the_share_of_parameters_on_loras_card_is_that_of_a_real_layer():
    import torch
    from peft import LoraConfig, get_peft_model

    base = torch.nn.Sequential(torch.nn.Linear(1024, 1024, bias=False))
    model = get_peft_model(base, LoraConfig(r=8, target_modules=["0"]))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f"{100 * trained / 1024**2:g} % for 1024 × 1024 at r = 8" in get_method("lora").card.theory


def test_the_card_of_p_tuning_counts_what_is_trained(build):
    """P = 4, E = 16, H = 32: the vectors, and an MLP H → E → E → H with its biases."""
    model = build("p_tuning").model
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == 4 * 32 + (2 * 32 * 16 + 16 * 16) + (2 * 16 + 32)


def test_a_record_holds_title_and_theory(train):
    record = train("p_tuning", "num_train_samples=8", "training.num_train_epochs=1")
    assert record.card.title == "P-tuning"
    assert train("lora", "num_train_samples=8", "training.num_train_epochs=1").card.theory
