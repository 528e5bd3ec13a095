"""bf16 is taken where it is faster, and nowhere else unless the study asks for it."""

import pytest
import torch
from transformers import AutoConfig

from hf_peft_compare.training import arguments
from hf_peft_compare.training.arguments import use_bf16
from hf_peft_compare.utils.bf16 import MIN_WIDTH_ON_CPU, bf16_pays, cpu_has_bf16


def test_a_processor_has_bf16_if_torch_finds_either_instruction_set(monkeypatch):
    for vector, tile in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda found=vector: found)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda found=tile: found)
        assert cpu_has_bf16() == (vector or tile)


@pytest.mark.parametrize(("width", "pays"), [(MIN_WIDTH_ON_CPU, True), (MIN_WIDTH_ON_CPU // 2, False)])
def test_only_wide_models_gain_on_a_processor(width, pays):
    assert bf16_pays(AutoConfig.for_model("gpt2", n_embd=width), cuda=False) == pays
    assert bf16_pays(AutoConfig.for_model("gpt2", n_embd=width), cuda=True)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="the rule of processors")
@pytest.mark.parametrize(
    ("overrides", "has", "expected"),
    [
        (["architecture={n_embd: 512}", "init=config"], True, True),
        (["architecture={n_embd: 512}", "init=config"], False, False),
        ([], True, False),  # width 32
        (["training.bf16=true"], False, True),
        (["architecture={n_embd: 512}", "init=config", "training.bf16=false"], True, False),
    ],
)
def test_the_run_decides_by_processor_and_width_unless_it_is_told(overrides, has, expected, tiny_study, monkeypatch):
    monkeypatch.setattr(arguments, "cpu_has_bf16", lambda: has)
    assert use_bf16(tiny_study(*overrides).resolve(row="lora", seed=0)[0]) == expected
