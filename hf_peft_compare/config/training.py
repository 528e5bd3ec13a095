"""Training and generation settings as typed dataclasses: each setting with its default and its meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as typed_dataclass

from hf_peft_compare.core.settings import STRICT, Int, NonNegativeInt, PositiveFloat, PositiveInt

BatchSize = Annotated[PositiveInt, Field(le=100_000)]


def _steps(value: int) -> int:
    if value < 1 and value != -1:
        raise ValueError("expected a number above 0, or -1: num_train_epochs decides")
    return value


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """Training settings; names and meanings are those of `transformers.TrainingArguments` unless noted otherwise.

    Args:
        learning_rate: the highest rate, after the warmup. Each method has a default of its own in place of this one.
        num_train_epochs: passes over the train split, at most; early stopping may end training before.
        max_steps: optimizer steps, in place of epochs; -1: `num_train_epochs` decides.
        train_batch_size: examples per optimizer step over all devices (the effective batch size). The micro-batch per
            device is this divided by processes times `gradient_accumulation_steps`, so that the protocol does not
            change with the hardware.
        gradient_accumulation_steps: micro-batches per optimizer step; more need less memory.
        eval_batch_size: number of texts per evaluation batch and device, for the longest texts. On the test split,
            batches of shorter texts hold more texts, within the same number of tokens and logits; no score depends on
            it.
        early_stopping_patience: evaluations without a better validation loss before training stops; None: no early
            stopping.
        lr_scheduler_type: how the learning rate falls, such as "linear", "cosine" or "constant".
        warmup_ratio: share of the steps in which the learning rate rises from 0.
        weight_decay: of the optimizer.
        max_grad_norm: the norm that gradients are clipped to.
        eval_strategy: when the validation loss is measured: after each "epoch", or every `eval_steps` "steps".
        eval_steps: optimizer steps from one evaluation to the next.
        logging_steps: optimizer steps from one logged train loss to the next.
        gradient_checkpointing: compute activations again in the backward pass: less memory, more time.
        optim: the fused AdamW updates all parameters in one kernel: the same steps as `adamw_torch` up to float
            rounding, in less time.
        bf16: None: on a GPU that supports it, and on a processor that has it in hardware (AVX512-BF16, AMX) for bases
            of width 512 or more; narrower ones gain nothing there.
        torch_compile: compile the model's training steps: fewer, larger kernels, after a minute or more of compiling,
            which repeats for batches of other shapes; worthwhile in long runs on a GPU. Rounding differs: losses agree
            up to float tolerance. FLOPs are not counted in compiled runs; evaluation is not compiled.
        torch_compile_backend: None: inductor, which needs a compiler; "eager" only traces. Setting a backend
            turns compiling on.
        packing: put the texts of a micro-batch into one row without padding; losses are the same. Meant for GPUs, with
            an attention that skips positions of other texts (`attn_implementation: flex_attention`, if the
            architecture supports it). With any other attention, the mask of the long row costs more than the padding
            it saves, since texts of similar length need little padding: steps of 8 texts of 500 tokens took five
            times as long on CPU. Methods with virtual tokens, runs that cache trunk states, and architectures that
            cannot separate packed texts run unpacked, and their records note it.
        trunk_cache: cache the hidden states of a frozen trunk on disk, so that they are computed once and not in every
            epoch. None: on CPU only; a GPU computes a small trunk faster than its states can be read (set true for
            large trunks).
        trunk_cache_max_bytes: maximum size of a study's caches; a run whose states do not fit runs without a cache.
        dataloader_num_workers: worker processes that prepare batches. None: 2 with a GPU, which then does not wait for
            batches; 0 without, since workers would compete with training for the CPU cores.
    """

    learning_rate: PositiveFloat = 5e-5
    num_train_epochs: Annotated[PositiveFloat, Field(le=1_000_000)] = 3.0
    max_steps: Annotated[Int, Field(lt=2**31), AfterValidator(_steps)] = -1
    train_batch_size: BatchSize = 8
    gradient_accumulation_steps: PositiveInt = 1
    eval_batch_size: BatchSize = 16
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
    trunk_cache_max_bytes: Annotated[Int, Field(gt=0)] = 50_000_000_000
    dataloader_num_workers: NonNegativeInt | None = None


@typed_dataclass(frozen=True, kw_only=True, config=STRICT)
class GenerationConfig:
    """Generation settings for the test outputs; names and meanings are those of `transformers.GenerationConfig`.

    Args:
        max_new_tokens, min_new_tokens: length of a generated text, in tokens.
        num_beams: beams of the search; 1: greedy.
        no_repeat_ngram_size: length of the token sequences that may not occur twice in a text; 0: any may.
        repetition_penalty: divides the scores of tokens that the text already has; 1: none.
        temperature: None: greedy or beam search; otherwise tokens are sampled, with a distribution that is sharper
            below 1 and flatter above, and with the run's seed.
        cache_implementation: "dynamic" grows with the text; "static" allocates memory for the longest text at once, and
            on a GPU each step is then compiled: a minute or more at first, less time per token afterwards. The
            generated text is the same. peft's own prompt learning has no static cache and generates with a dynamic
            one.
        use_base_config: let the base's own generation config, such as its `top_p` or `suppress_tokens`, take part where
            no setting here overrides it; otherwise transformers' defaults hold.
    """

    max_new_tokens: PositiveInt = 64
    min_new_tokens: NonNegativeInt = 0
    num_beams: PositiveInt = 1
    no_repeat_ngram_size: NonNegativeInt = 0
    repetition_penalty: PositiveFloat = 1.0
    temperature: PositiveFloat | None = None
    cache_implementation: Literal["dynamic", "static"] = "dynamic"
    use_base_config: bool = False

    @property
    def starts_from_cache(self) -> bool:
        """Whether `generate` can go on from a cache: beams are rows of their own, and a static cache is its own."""
        return self.num_beams == 1 and self.cache_implementation == "dynamic"

    def __post_init__(self) -> None:
        """Raise ValueError if no text could have the right length."""
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens is {self.min_new_tokens}, above max_new_tokens, {self.max_new_tokens}")
