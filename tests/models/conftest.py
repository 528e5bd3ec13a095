"""Fixtures of models."""

import pytest
from soft_prompts import fresh_prompt
from tiny import tiny_model

from hf_peft_compare import PromptTuningModel


@pytest.fixture(params=["gpt2", "llama"])
def model(request):
    """A prompt of four vectors before a tiny base of either architecture, in evaluation mode."""
    return PromptTuningModel(tiny_model(request.param), fresh_prompt()).eval()
