"""peft's models are trained, scored and planned as all others are."""

import pytest
import torch
from tiny import tiny_model

from hf_peft_compare.methods.peft_adjustments import widen, with_values
from hf_peft_compare.testing import Case

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def test_labels_of_the_last_columns_are_widened_to_all():
    assert widen(torch.tensor([[-100, 8, 9]]), 5).tolist() == [[-100, -100, -100, 8, 9]]


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_padding_changes_no_loss_of_shadow(architecture):
    model = Case("peft", {"peft_type": "SHADOW"}, architecture).tuned().eval()
    padded, zeros = torch.cat([torch.zeros(1, 3, dtype=torch.long), IDS], dim=1), torch.zeros(1, 3, dtype=torch.long)
    mask = torch.cat([zeros, torch.ones_like(IDS)], dim=1)
    labels = torch.tensor([[-100, 8, 9]])
    alone = model(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=labels, logits_to_keep=3).loss
    beside = model(input_ids=padded, attention_mask=mask, labels=labels, logits_to_keep=3).loss
    torch.testing.assert_close(alone, beside)


def test_a_type_that_reads_weights_is_planned_without_them_and_draws_nothing():
    with torch.device("meta"):
        base = tiny_model()
    seen, state = [], torch.get_rng_state()

    class Adapted(torch.nn.Module):
        def __init__(self, base, config):
            super().__init__()
            self.base = base
            seen.append(next(base.parameters()).device.type)

        def get_base_model(self):
            return self.base

    adapted = with_values(Adapted)(base, None)
    assert seen == ["cpu"] and all(p.is_meta for p in adapted.parameters())
    assert adapted.base.lm_head.weight is adapted.base.transformer.wte.weight
    assert torch.equal(torch.get_rng_state(), state)
