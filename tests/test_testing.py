"""The contract that others check their methods by: it holds for a sound method, and finds what breaks it."""

import sys
from pathlib import Path

import pytest
import torch

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.testing import check_method

sys.path.append(str(Path(__file__).parents[1] / "examples"))

from add_a_method import BitFit  # noqa: E402


def test_the_example_passes_the_contract():
    check_method(BitFit, architectures=["gpt2", "bert"])
    check_method(BitFit, {"norms": True})


def test_a_method_of_the_package_is_checked_by_its_name():
    check_method("lora", {"r": 2}, architectures=["gpt2"])


class _TrainsNothing(BitFit):
    def build(self, base, settings, tokenizer=None):
        return base.requires_grad_(False)


class _SavesEverything(BitFit):
    def save(self, model, folder):
        super().save(model, folder)
        torch.save(model.state_dict(), folder / "all.pt")


class _ForgetsToLoad(BitFit):
    def load(self, base, folder, settings):
        return self.build(base, settings)


class _ChangesTheBase(BitFit):
    def merge(self, model):
        next(model.parameters()).data.add_(1)
        return model


class _MergesUnannounced(BitFit):
    mergeable = False


class _MakesRealTensors(BitFit):
    def build(self, base, settings, tokenizer=None):
        model = super().build(base, settings)
        model.transformer.ln_f.bias = torch.nn.Parameter(torch.zeros(32, device="cpu"))
        return model


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_TrainsNothing, "leave nothing to train"),
        (_SavesEverything, "bytes, but"),
        (_ForgetsToLoad, "the outputs differ after saving and loading"),
        (_ChangesTheBase, "the outputs differ after merging"),
        (_MergesUnannounced, "mergeable is false"),
        (_MakesRealTensors, "real tensors"),
    ],
)
def test_what_breaks_the_contract_is_named(broken, words):
    with pytest.raises(AssertionError, match=f"method bitfit on gpt2: .*{words}"):
        check_method(broken, architectures=["gpt2"])


def test_a_misspelt_setting_of_a_plain_dataclass_is_refused():
    with pytest.raises(UserError, match="Did you mean 'norms'"):
        check_method(BitFit, {"norm": True}, architectures=["gpt2"])
