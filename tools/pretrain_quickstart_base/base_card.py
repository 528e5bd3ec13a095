"""Write the pretrained base to its folder: weights, tokenizer, recipe and a model card with the measured figures."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

CARD = """---
language: en
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Embedded base

A GPT-2 of {num_params:,} parameters ({n_layer} layers of {n_embd}, {n_positions} positions, {vocab_size} tokens), made
for one purpose: that methods of adaptation can be compared in minutes, with no network and no GPU. It knows made-up
news and nothing else of the world.

## How it was made
`python -m tools.pretrain_quickstart_base.pretraining --output-dir FOLDER --seed {seed} --story-steps {story_steps}`

1. {copying_steps:,} steps of copying: random tokens that repeat, so that unseen words can be copied piece by piece.
2. {story_steps:,} steps of stories, plain or with digests (questions, forms, outlets' own), {copying_share:.0%} of them
   still copying. Half the stories use invented, syllable-made words.

It took {minutes:.0f} minutes on {num_cores} cores, which other work shared. The text has no name, place, firm, goods or
number in common with the studies' `train`, `validation` and `test` stories, and has neither their outlets, nor their
highlights' wordings, nor their separator.
`recipe.json` holds every setting, the versions and the loss curve.

## What it can do
Share of answer tokens it foretells right (each given the true tokens before it) when asked after a fact of a story from
a world it was never trained on, {num_examined} questions in all:

| fact | right |
|---|---|
{rows}
"""


def write_base(
    folder: Path,
    *,
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: dict[str, Any],
    figures: dict[str, float],
    curve: list[dict[str, Any]],
    seconds: float,
) -> None:
    """Write everything that `from_pretrained` needs, and a model card."""
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = recipe | {"num_params": model.num_parameters(), "num_cores": os.cpu_count(), "minutes": seconds / 60}
    rows = "\n".join(f"| {fact} | {share:.1%} |" for fact, share in figures.items())
    (folder / "README.md").write_text(CARD.format(rows=rows, **facts))
    record = {
        "recipe": recipe,
        "figures": figures,
        "seconds": round(seconds),
        "num_cores": os.cpu_count(),
        "num_threads": torch.get_num_threads(),
        "versions": versions(),
        "curve": curve,
    }
    (folder / "recipe.json").write_text(json.dumps(record, indent=1) + "\n")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that determine the base."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
    }
