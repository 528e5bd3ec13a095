"""The settings of the embedded base besides its text: sizes, steps, and the data and learning rate of each step."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings that determine the base, besides the text."""

    seed: int = 0
    vocab_size: int = 1536
    n_positions: int = 256
    n_embd: int = 128
    n_layer: int = 4
    n_head: int = 4
    initializer_range: float = 0.06
    adamw_learning_rate: float = 2e-3
    muon_learning_rate: float = 4e-3
    warmup_steps: int = 100
    copying_steps: int = 1_300  # rows of random tokens only
    previous_token_steps: int = 300  # of these, also predict the previous token after block one
    growth_steps: tuple[int, int] = (600, 1_200)  # the random vocabulary grows from 60 ids to all between these steps
    story_steps: int = 1_500
    copying_share: float = 0.1  # of the later steps: random tokens, so that copying any token stays learned
    copying_tokens: int = 2_048  # of a batch
    story_tokens: int = 4_096
    num_tokenizer_documents: int = 20_000
    num_examined: int = 200


def rate_share(recipe: Recipe, *, step: int) -> float:
    """Return the learning rate's factor: warm-up, one while copying is learned, then linear decay to zero."""
    warmup = min(1.0, (step + 1) / recipe.warmup_steps)
    steps_left = recipe.copying_steps + recipe.story_steps - step
    return warmup * min(1.0, steps_left / max(1, recipe.story_steps))


def draw_exercise(recipe: Recipe, *, step: int) -> str:
    """Return `copying` or `stories`, depending on the step."""
    if step < recipe.copying_steps:
        return "copying"
    return "copying" if random.Random(f"{recipe.seed} {step}").random() < recipe.copying_share else "stories"


def active_ids(recipe: Recipe, *, step: int) -> int:
    """Return how many ids the random rows use: 60 at first, since fewer words are learned sooner; later all."""
    first, last = recipe.growth_steps
    share = min(1.0, max(0.0, (step - first) / (last - first)))
    return round(60 * (recipe.vocab_size / 60) ** share)
