"""Soft prompts before tiny bases, for the tests of `PromptTuningModel`."""

import torch
from tiny import token_rows

P = 4
IDS = torch.tensor([[5, 6, 7, 8, 9]])
ROWS = token_rows([9, 30, 17, 25, 12, 21, 14, 28])


def fresh_prompt(seed=0):
    return 0.3 * torch.randn(P, 32, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(model, ids=IDS):
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
