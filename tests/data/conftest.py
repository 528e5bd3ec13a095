"""The examples of the tiny study, for the tests of splits."""

import pytest

from hf_peft_compare.data.splits import load_examples


@pytest.fixture
def load(tiny_study):
    """`load("key=value", …)`: the examples of the tiny study."""

    def make(*overrides):
        return load_examples(tiny_study(*overrides).config)

    return make
