"""A training step of SmolLM2-135M against TRL's SFTTrainer, with its defaults and with its fastest settings."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from typing import Any

from transformers import PrinterCallback

from benchmarks import ours, recipes
from benchmarks.table import MAX_LOSS_DIFFERENCE, Benchmark, Row, Skipped
from benchmarks.training_step import CountFlops, Size, compare_steps, rows_of, settings_of, take_steps
from benchmarks.turns import Turns
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.models.architecture import load_architecture
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.utils.bf16 import cpu_has_bf16

SIZE = Size(repetitions=2, num_tokens=448, num_completion_tokens=80)
ALL_LABELED = Size(repetitions=2, num_tokens=448, num_completion_tokens=447)
QUICK = Size(repetitions=1, batch_size=2, num_tokens=48, num_completion_tokens=8, matrix_size=64)
DEFAULTS: Mapping[str, Any] = {}
FASTEST: Mapping[str, Any] = {"gradient_checkpointing": False}  # packing and no padding need flash attention
# Losses are about 11, and the order of rounding differs.
MAX_DIFFERENCES = {"float32": MAX_LOSS_DIFFERENCE, "bf16": 0.02}
CASES: tuple[tuple[str, str, str, Size, Mapping[str, Any], float | None], ...] = (
    ("lora, TRL's defaults", "lora", "float32", SIZE, DEFAULTS, None),
    ("lora", "lora", "float32", SIZE, FASTEST, 1.8),
    ("lora, all tokens labeled", "lora", "float32", ALL_LABELED, FASTEST, 1.0),
    ("prompt_tuning", "prompt_tuning", "float32", SIZE, FASTEST, 1.8),
    ("full", "full", "float32", SIZE, FASTEST, 1.3),
    ("lora, bf16, TRL's defaults", "lora", "bf16", SIZE, DEFAULTS, 2.8),
    ("lora, bf16", "lora", "bf16", SIZE, FASTEST, None),
    ("full, bf16", "full", "bf16", SIZE, FASTEST, None),
)


def run(quick: bool) -> list[Row]:
    """Compare our step with that of the SFTTrainer, in alternating turns with a matrix product."""
    if importlib.util.find_spec("trl") is None:
        raise Skipped("trl is not installed; `pip install trl`")
    precisions = {"float32", "bf16"} if quick or cpu_has_bf16() else {"float32"}
    rows = []
    for name, method, precision, size, arguments, aim in CASES:
        if precision in precisions:
            size = QUICK if quick else size
            config = ours.smollm2_run(method, *settings_of(size), f"training.bf16={precision == 'bf16'}", quick=quick)
            sides = take_steps(config, size, plain=partial(sft_steps, arguments))
            rows += compare_steps(name, sides, aim=aim, max_difference=MAX_DIFFERENCES[precision])
    return rows


def sft_steps(arguments: Mapping[str, Any], config: RunConfig, size: Size, folder: str, turns: Turns) -> None:
    """Train the same model on the same batches with the SFTTrainer and its loss on completions.

    Args:
        arguments: fields of SFTConfig beside those that both sides share.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    trainer = SFTTrainer(
        model=recipes.random_model(load_architecture(config), config),
        args=SFTConfig(
            **recipes.QUIET,
            **recipes.arguments_of(config, folder),
            max_length=size.num_tokens,
            completion_only_loss=True,
            bf16=bool(config.training.bf16),
            use_cpu=True,
            **arguments,
        ),
        train_dataset=Dataset.from_list(
            [
                {"input_ids": row["input_ids"], "completion_mask": [int(label != -100) for label in row["labels"]]}
                for row in map(recipes.labeled, ours.in_our_order(config, rows_of(config, size)))
            ]
        ),
        processing_class=load_tokenizer(config),
        callbacks=[CountFlops(turns)],
    )
    trainer.remove_callback(PrinterCallback)  # only the table is printed
    trainer.train()


BENCHMARK = Benchmark(
    name="sft_trainer",
    title="A training step beside TRL",
    about=(
        "SmolLM2-135M from its config, 4 × 448 tokens of which 80 each are labeled unless all are; LoRA on query and "
        "value. Ours: the package's trainer. TRL: its SFTTrainer with the loss on completions, without gradient "
        "checkpointing unless its defaults are named. The same examples, the same losses."
    ),
    run=run,
    sides=("ours", "TRL"),
)
