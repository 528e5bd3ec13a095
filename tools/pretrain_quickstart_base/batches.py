"""The batch of each pretraining step, determined by the seed and the step only."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from tools.pretrain_quickstart_base.copying import draw_copying_rows
from tools.pretrain_quickstart_base.digests import generate_documents
from tools.pretrain_quickstart_base.recipe import Recipe, active_ids


@dataclass(frozen=True, kw_only=True)
class Batch:
    """[B, T] each; `offsets` [B, 1] shift a row's positions, so that short rows train all of them."""

    input_ids: torch.Tensor
    labels: torch.Tensor
    offsets: torch.Tensor


def draw_batch(recipe: Recipe, *, step: int, exercise: str, tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Return the batch of a step, which depends only on the seed and the step."""
    if exercise == "stories":
        return draw_story_batch(recipe, step=step, tokenizer=tokenizer)
    rng = np.random.default_rng([recipe.seed, step])
    # Short rows until copying is learned, then rows as long as stories.
    length = 64 if step < recipe.growth_steps[1] else recipe.n_positions - 64
    num_rows = max(1, recipe.copying_tokens // length)
    vocabulary = np.random.default_rng(recipe.seed).permutation(recipe.vocab_size)[: active_ids(recipe, step=step)]
    rows = draw_copying_rows(num_rows=num_rows, length=length, vocabulary=vocabulary, rng=rng)
    offsets = rng.integers(0, recipe.n_positions - length + 1, size=(num_rows, 1))
    return Batch(
        input_ids=torch.from_numpy(rows.input_ids),
        labels=torch.from_numpy(rows.labels),
        offsets=torch.from_numpy(offsets),
    )


def draw_story_batch(recipe: Recipe, *, step: int, tokenizer: PreTrainedTokenizerFast) -> Batch:
    """Return documents joined by eos and cut into rows of `n_positions` at any point, so every position is trained."""
    num_rows = max(1, recipe.story_tokens // recipe.n_positions)
    skip = random.Random(f"skip {recipe.seed} {step}").randrange(recipe.n_positions)
    stream = itertools.islice(_token_stream(recipe, step=step, tokenizer=tokenizer), skip, None)
    ids = torch.tensor(list(itertools.islice(stream, num_rows * recipe.n_positions)))
    input_ids = ids.view(num_rows, recipe.n_positions)
    return Batch(input_ids=input_ids, labels=input_ids, offsets=torch.zeros(num_rows, 1, dtype=torch.long))


def _token_stream(recipe: Recipe, *, step: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[int]:
    for document in generate_documents(seed=recipe.seed, part=step):
        yield from tokenizer(document)["input_ids"]
        yield tokenizer.eos_token_id
