"""An edit of hidden states is the paper's formula, at the positions that it says."""

import pytest
import torch

from hf_peft_compare.models.representation_edits import Edit, positions_of


@pytest.mark.parametrize("parametrization", ["qr", "householder"])
def test_an_edit_is_the_papers_formula_with_orthonormal_rows(parametrization):
    torch.manual_seed(0)
    edit, h = Edit(16, 3, kind="loreft", parametrization=parametrization, dropout=0.0), torch.randn(5, 16)
    rotation, source = edit.columns.T, edit.source
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-6, rtol=0)
    for row, found in zip(h, edit(h), strict=True):
        torch.testing.assert_close(found, row + rotation.T @ (source.weight @ row + source.bias - rotation @ row))


def test_direft_is_free_and_subtracts_nothing():
    edit, h = Edit(16, 3, kind="direft", parametrization="qr", dropout=0.0), torch.randn(5, 16)
    assert edit.columns is edit.rotation
    torch.testing.assert_close(edit(h), h + (h @ edit.source.weight.T + edit.source.bias) @ edit.rotation.T)


@pytest.mark.parametrize("parametrization", ["qr", "householder"])
def test_weight_decay_cannot_zero_the_rotation(parametrization):
    edit = Edit(16, 3, kind="loreft", parametrization=parametrization, dropout=0.0)
    optimizer = torch.optim.AdamW(edit.parameters(), lr=1.0, weight_decay=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        edit(torch.randn(4, 16)).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(edit.columns.T @ edit.columns, torch.eye(3), atol=1e-5, rtol=0)


def test_positions_are_the_same_under_left_and_right_padding():
    left, right = torch.tensor([[0, 0, 1, 1, 1, 1, 1]]), torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    num_prompt = torch.tensor([[4]])
    found = [positions_of(mask, num_prompt, num_first=1, num_last=2) for mask in (left, right)]
    assert [p.first.nonzero()[:, 1].tolist() for p in found] == [[2], [0]]
    assert [p.last.nonzero()[:, 1].tolist() for p in found] == [[4, 5], [2, 3]]


@pytest.mark.parametrize(("num_prompt", "first", "last"), [(3, [0], [1, 2]), (1, [], [0]), (0, [], [])])
def test_of_a_short_prompt_the_halves_are_edited(num_prompt, first, last):
    found = positions_of(torch.ones(1, 6), torch.tensor([[num_prompt]]), num_first=5, num_last=5)
    assert (found.first.nonzero()[:, 1].tolist(), found.last.nonzero()[:, 1].tolist()) == (first, last)
