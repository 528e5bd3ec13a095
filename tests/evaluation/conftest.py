"""Fixtures of evaluation."""

import pytest


@pytest.fixture
def count_tokens():
    """`count_tokens(model)`: a list to which every pass of a model appends the number of tokens that it reads."""

    def count(model):
        read = []
        model.register_forward_pre_hook(
            lambda module, args, kwargs: read.append(kwargs["input_ids"].numel()), with_kwargs=True
        )
        return read

    return count
