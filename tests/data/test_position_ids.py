"""Positions count real tokens from the left, whatever the padding."""

import pytest
import torch
from tiny import tiny_model

from hf_peft_compare.data.position_ids import count_positions_from_mask, positions_from_mask


@pytest.mark.parametrize(
    ("mask", "num_tokens", "expected"),
    [
        ([[1, 1, 1]], 3, [[0, 1, 2]]),
        ([[0, 0, 1, 1]], 4, [[0, 0, 0, 1]]),  # padding on the left
        ([[1, 1, 0, 0]], 4, [[0, 1, 1, 1]]),  # padding on the right
        ([[1, 1, 0, 1, 1]], 5, [[0, 1, 1, 2, 3]]),  # prompt, padding, text
        ([[1, 1, 0, 1, 1]], 1, [[3]]),  # the newest token beside a cache
        ([[0, 1, 1], [1, 1, 1]], 2, [[0, 1], [1, 2]]),
    ],
)
def test_positions_count_real_tokens(mask, num_tokens, expected):
    assert positions_from_mask(torch.tensor(mask), num_tokens).tolist() == expected


@pytest.fixture
def seen_positions():
    """A tiny GPT-2 with the hook, and the list of position ids that its forward gets."""
    model, seen = tiny_model(), []
    model.transformer.register_forward_pre_hook(
        lambda m, args, kwargs: seen.append(kwargs["position_ids"]), with_kwargs=True
    )
    count_positions_from_mask(model)
    return model, seen


def test_missing_positions_follow_from_the_mask(seen_positions):
    model, seen = seen_positions
    model(input_ids=torch.tensor([[5, 6, 7]]), attention_mask=torch.tensor([[0, 1, 1]]))
    assert seen[0].tolist() == [[0, 0, 1]]


def test_given_positions_are_kept(seen_positions):
    model, seen = seen_positions
    ids = torch.tensor([[5, 6, 7]])
    model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=torch.tensor([[4, 5, 6]]))
    assert seen[0].tolist() == [[4, 5, 6]]


def test_without_a_mask_the_model_decides(seen_positions):
    model, seen = seen_positions
    model(input_ids=torch.tensor([[5, 6, 7]]))
    assert seen == [None]


def test_a_model_without_position_ids_is_left_as_it_is():
    class NoPositions(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            return input_ids

    model = NoPositions()
    count_positions_from_mask(model)
    ids = torch.tensor([[1, 2]])
    assert model(input_ids=ids, attention_mask=torch.ones_like(ids)) is ids
