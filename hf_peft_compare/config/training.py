"""How a run trains and generates, as typed dataclasses: every setting with its default and its meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.settings import STRICT, NonNegativeInt, PositiveFloat, PositiveInt


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """How a run trains; names and meanings are those of `transformers.TrainingArguments` unless said otherwise.

    Args:
        train_batch_size: examples per optimizer step over all devices (the effective batch). The micro-batch per
            device is this divided by processes times `gradient_accumulation_steps`, so that the protocol does not
            change with the hardware.
        eval_batch_size: how many of the longest texts are evaluated at once per device. The test split's batches of
            shorter texts have more of them, for no more tokens or logits; no score depends on it.
        early_stopping_patience: evaluations without a better validation loss before training stops; None: never.
        optim: the fused AdamW updates all parameters in one kernel: the same steps as `adamw_torch` to float rounding,
            in less time.
        bf16: None: where the GPU has it.
        torch_compile: compile the model's training steps: fewer, larger kernels, after a minute or more of compiling,
            and again for batches of other shapes; pays on a GPU in long runs. It rounds otherwise: losses agree to
            float tolerance. Operations are not counted in compiled runs; evaluation is not compiled.
        torch_compile_backend: None: inductor, which needs a compiler; "eager" only traces. To name one is to compile.
        packing: put the texts of a micro-batch into one row without padding; losses are the same. For GPUs, with an
            attention that skips what texts do not see of each other (`attn_implementation: flex_attention`, where the
            architecture has it). With any other the mask of the long row costs more than
            the padding it saves, of which texts of similar length have little: steps of 8 texts of 500 tokens took
            five times as long on CPU. Methods with virtual tokens, runs that keep trunk states and architectures
            that cannot tell packed texts apart go unpacked, and their records say so.
        trunk_cache: keep the states of a frozen trunk on disk, so that it is computed once and not in every epoch.
            None: on CPU only; a GPU computes a small trunk faster than its states are read (set true for large ones).
        trunk_cache_max_bytes: what a study's caches may take; a run whose states are larger goes without.
        dataloader_num_workers: processes that put batches together beside the training one. None: 2 where there is a
            GPU, which then need not wait for a batch, else 0, since they would take the cores that train.
    """

    learning_rate: PositiveFloat = 5e-5
    num_train_epochs: PositiveFloat = 3.0
    max_steps: int = -1
    train_batch_size: PositiveInt = 8
    gradient_accumulation_steps: PositiveInt = 1
    eval_batch_size: PositiveInt = 16
    optim: str = "adamw_torch_fused"
    lr_scheduler_type: str = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: PositiveFloat = 1.0
    eval_strategy: Literal["epoch", "steps"] = "epoch"
    eval_steps: PositiveInt = 500
    logging_steps: PositiveInt = 10
    early_stopping_patience: PositiveInt | None = 2
    bf16: bool | None = None
    gradient_checkpointing: bool = False
    torch_compile: bool = False
    torch_compile_backend: Literal["inductor", "cudagraphs", "aot_eager", "eager"] | None = None
    packing: bool = False
    trunk_cache: bool | None = None
    trunk_cache_max_bytes: PositiveInt = 50_000_000_000
    dataloader_num_workers: NonNegativeInt | None = None


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class GenerationConfig:
    """How test outputs are generated; names and meanings are those of `transformers.GenerationConfig`.

    Args:
        temperature: None: the likeliest token is taken; else tokens are drawn, sharper below 1 and flatter above, in an
            order that the run's seed decides.
        cache_implementation: "dynamic" grows with the text; "static" takes the memory of the longest at once, and on a
            GPU each step is then compiled: a minute or more at first, less per token after. Text is the same. peft's
            own prompt learning has no static cache and generates with a dynamic one.
    """

    max_new_tokens: PositiveInt = 64
    min_new_tokens: NonNegativeInt = 0
    num_beams: PositiveInt = 1
    no_repeat_ngram_size: NonNegativeInt = 0
    repetition_penalty: PositiveFloat = 1.0
    temperature: PositiveFloat | None = None
    cache_implementation: Literal["dynamic", "static"] = "dynamic"
