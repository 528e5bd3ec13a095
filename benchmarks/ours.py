"""Our side of a benchmark: the package's own code, from a study and encoded examples to a trainer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from benchmarks.turns import TakeTurns, Turns
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.sampler import SimilarLengthSampler
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.quickstart import BASE_FOLDER
from hf_peft_compare.training.factory import build
from hf_peft_compare.training.hidden_states import kept_trunk_states
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.trainer import make_trainer

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # both sides must compute the same
SMALL = {
    "vocab_size": 1536,
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 2,
    "n_positions": 128,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SMALL_LLAMA = {
    "vocab_size": 1536,
    "num_hidden_layers": 2,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_attention_heads": 6,
}
VOCABULARY_SIZE = 1536  # the embedded tokenizer's; token values do not affect the speed


def gpt2_run(row: str, *overrides: str, quick: bool, dropout: bool = False) -> RunConfig:
    """Return a run of the GPT-2 study with random weights from the config, the embedded tokenizer, and one epoch.

    Args:
        quick: use a GPT-2 of two blocks instead of GPT-2 small.
    """
    architecture = {"model_type": "gpt2", **({} if dropout else NO_DROPOUT), **(SMALL if quick else {})}
    settings = [*([] if dropout else ["methods.lora.lora_dropout=0"]), *overrides]
    return _run("gpt2-cnn-dailymail", row, architecture, settings)


def smollm2_run(row: str, *overrides: str, quick: bool) -> RunConfig:
    """Return a run of the SmolLM2-135M study likewise, LoRA on query and value.

    Args:
        quick: use a Llama of two blocks instead of SmolLM2-135M.
    """
    lora = ["methods.lora.lora_dropout=0", "methods.lora.target_modules=[q_proj, v_proj]"]
    return _run("smollm2-cnn-dailymail", row, SMALL_LLAMA if quick else {}, [*lora, *overrides])


def _run(study: str, row: str, architecture: Mapping[str, object], overrides: Sequence[str]) -> RunConfig:
    settings = [
        "dataset=embedded",
        *(f"num_{split}_samples=64" for split in ("train", "validation", "test")),
        "init=config",
        *(f"architecture.{field}={value}" for field, value in architecture.items()),
        f"tokenizer_name_or_path={BASE_FOLDER}",
        "training.num_train_epochs=1",
        *overrides,
    ]
    config, _ = load_study(study, settings).resolve(row=row, seed=0)
    return config


def random_rows(size: int, *, length: int, num_completion_tokens: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return encoded examples of random tokens."""
    rng = random.Random(seed)
    return [
        {
            "input_ids": [rng.randrange(2, VOCABULARY_SIZE) for _ in range(length)],
            "num_completion_tokens": num_completion_tokens,
        }
        for _ in range(size)
    ]


def in_our_order(config: RunConfig, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return examples in the order in which our first epoch visits them."""
    lengths = [len(row["input_ids"]) for row in rows]
    order = SimilarLengthSampler(lengths, chunk_size=config.training.train_batch_size, seed=config.seed)
    return [rows[i] for i in order]


def train(
    config: RunConfig,
    rows: Sequence[dict[str, Any]],
    folder: str,
    turns: Turns,
    *,
    callback: TakeTurns,
    from_the_start: bool = False,
) -> None:
    """Train a run on encoded examples, taking turns.

    Args:
        from_the_start: the first turn includes everything before the first step, such as filling the trunk cache.
    """
    run = Run(config=config, origins={}, folder=Path(folder) / config.run)
    built = build(config, output_dir=run.checkpoints)
    validation = random_rows(1, length=16, num_completion_tokens=4)  # not measured
    splits = {name: Dataset.from_list(split) for name, split in (("train", list(rows)), ("validation", validation))}
    encoded = TokenizedSplits(splits=splits, prompts=[], candidates=[], form=format_of(config, []), notes=[])
    if from_the_start:
        turns.begin()
    states = kept_trunk_states(run, built, encoded)
    make_trainer(run, built, encoded, extra=[callback], trunk_states=states).train()
