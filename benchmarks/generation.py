"""Summaries generated in batches versus one by one; solved examples read once versus with every story."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours
from benchmarks.table import Benchmark, Row, compare_seconds
from benchmarks.turns import Turns, interleave
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.data import splits as data
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.training.factory import build

Generate = Callable[..., list[list[int]]]
AIM = 4


def run(quick: bool) -> list[Row]:
    """Compare on the quickstart's pretrained base, and on GPT-2 small with random weights."""
    each_whole = partial(in_batches, share_start=False)
    return [
        _compare("the quickstart's base", quickstart_run(quick), one_by_one, repetitions=2 if quick else 5, aim=AIM),
        _compare("GPT-2 small", gpt2_run(quick), one_by_one, repetitions=1, aim=None),
        _compare("GPT-2 small, four solved", few_shot_run(quick), each_whole, repetitions=1 if quick else 3, aim=None),
    ]


def quickstart_run(quick: bool) -> RunConfig:
    """Return a run of the quickstart's untouched model on some of its test stories."""
    settings = ["num_test_samples=8", "generation.max_new_tokens=8"] if quick else ["num_test_samples=64"]
    return load_study("quickstart", settings).resolve(row="zero_shot", seed=0)[0]


def gpt2_run(quick: bool) -> RunConfig:
    """Return a run of an untouched GPT-2 on the same stories, with short summaries: one by one is slow."""
    settings = ["num_test_samples=8", "generation.max_new_tokens=4"] if quick else ["generation.max_new_tokens=24"]
    return ours.gpt2_run("zero_shot", "max_length=128", *settings, quick=quick)


def few_shot_run(quick: bool) -> RunConfig:
    """Return a run of an untouched GPT-2 that is given four solved stories before each, and writes a few tokens."""
    settings = ["num_test_samples=8", "architecture.n_positions=1024"] if quick else []
    few_shot = ["methods.few_shot={shots: 4}", "max_length=900", "generation.max_new_tokens=8", *settings]
    return ours.gpt2_run("few_shot", *few_shot, quick=quick)


def _compare(name: str, config: RunConfig, plain: Generate, *, repetitions: int, aim: float | None) -> Row:
    sides = interleave(
        {"ours": partial(summaries, config, in_batches), "plain": partial(summaries, config, plain)},
        repetitions=repetitions,
        warmups=1 if repetitions > 1 else 0,
    )
    note = same_tokens(sides["ours"].results[-1], sides["plain"].results[-1])
    name = f"{config.num_test_samples} summaries, {name}"
    return compare_seconds(name, sides["ours"].seconds, sides["plain"].seconds, aim=aim, note=note)


def same_tokens(ours: list[list[int]], plain: list[list[int]]) -> str:
    """Return a note that both sides generated the same tokens.

    Raises:
        RunFailed: the tokens differ.
    """
    differing = [(o, p) for o, p in zip(ours, plain, strict=True) if o != p]
    if differing:
        raise RunFailed(f"{len(differing)} of {len(ours)} texts differ, such as {differing[0]}; they must be the same.")
    return f"{len(ours)} texts, {sum(map(len, ours)):,} tokens, all the same"


def summaries(config: RunConfig, generate: Generate, turns: Turns) -> None:
    """Summarize the same stories in each turn."""
    with tempfile.TemporaryDirectory() as folder:
        built = build(config, output_dir=Path(folder))
    prompts = _prompts(config, built.tokenizer)
    built.model.eval()
    while True:
        turns.begin()
        turns.end(generate(built.model, built.tokenizer, prompts, config))


def in_batches(
    model: Any, tokenizer: Any, prompts: list[list[int]], config: RunConfig, *, share_start: bool = True
) -> list[list[int]]:
    """Generate like a run's evaluation."""
    settings: dict[str, Any] = {"generation": config.generation, "batch_size": config.training.eval_batch_size}
    return generate_tokens(model, tokenizer, prompts, share_start=share_start, **settings)


@torch.no_grad()
def one_by_one(model: Any, tokenizer: Any, prompts: list[list[int]], config: RunConfig) -> list[list[int]]:
    """Generate like most examples do: in a loop over the texts."""
    texts = []
    for prompt in prompts:
        input_ids = torch.tensor([prompt])
        output = model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            max_new_tokens=config.generation.max_new_tokens,
        )
        texts.append([token for token in output[0, len(prompt) :].tolist() if token != tokenizer.eos_token_id])
    return texts


def _prompts(config: RunConfig, tokenizer: Any) -> list[list[int]]:
    return tokenize_splits(config, data.load_examples(config), tokenizer).prompts


BENCHMARK = Benchmark(
    name="generation",
    title="Generating summaries",
    about=(
        "Greedy decoding of the quickstart's test stories. Ours: the evaluation of a run, in batches of similar "
        "length. Plain recipe: `generate` in a loop, one text at a time; with solved examples before each story: the "
        "same batches, whose prompts are all read whole. Both generate the same texts."
    ),
    run=run,
)
