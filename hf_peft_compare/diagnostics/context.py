"""One row of a study under examination: its real model, a few of its train examples, a few training steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_peft_compare.config.protocol import BASE
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.collators import Batch, to_device
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import Examples
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.diagnostics.observations import GradientWatch, ModelOutput, Recorder, Training
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.quantization import quantization_of
from hf_peft_compare.models.trainable_parameters import hash_tensors, hash_trainables, named_trainables
from hf_peft_compare.training import factory
from hf_peft_compare.training.factory import RunComponents
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.trainer import history, make_trainer
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NUM_EXAMPLES = 8  # one effective batch
NUM_STEPS = 2  # a parameter without gradient while its multiplier is zero has one in the second step
NUM_NEW_TOKENS = 8
NUM_TO_CHOOSE_FROM = 64  # of these examples, those with the shortest references are used
MAX_TOKENS, MORE_TOKENS = (
    32,
    4,
)  # of the first example, and added with each further one, to get padding
ELSEWHERE = 20_011  # a seed that no study uses
# Relative differences between two ways to compute the same value: in float32, and in 16 bits or fewer.
EXACT, ROUGH = 3e-4, 5e-2


@dataclass
class CheckContext:
    """One row of a study under examination; the inputs of checks are computed on first use and cached.

    Training runs in float32, without dropout and schedule, so that values that must be equal are equal.

    Args:
        config: the row's run, shortened by `for_examination`.
        examples: the study's examples.
        folder: a folder in which the Trainer may write.
        untouched: outputs of untouched bases, shared between rows.
    """

    config: RunConfig
    examples: Examples
    folder: Path
    untouched: dict[str, ModelOutput] = field(default_factory=dict)

    @property
    def train(self) -> Sequence[Example]:
        """The study's train examples."""
        return self.examples["train"]

    @property
    def tokenizer(self) -> Any:
        """The base's tokenizer."""
        return self._built.tokenizer

    @property
    def model(self) -> Any:
        """The row's model, as it was built or as the last training left it."""
        return self._built.model

    @cached_property
    def form(self) -> Format:
        """The format of the row's examples."""
        return format_of(self.config, self.train)

    @cached_property
    def rows(self) -> list[Features]:
        """Tokenized train examples of various lengths, cut short."""
        return self._encoded(self.form.encode, self.config.max_text_length)

    @cached_property
    def prompts(self) -> list[list[int]]:
        """The tokenized prompts of the same examples."""
        assert self.form.encode_prompt is not None, "a head that generates has prompts"
        return self._encoded(self.form.encode_prompt, self.config.max_prompt_length)

    @cached_property
    def batch(self) -> dict[str, Any]:
        """All rows as one batch with labels, on the model's device."""
        return to_device(self.collate(self.rows), self.model.device)

    @property
    def collate(self) -> Callable[[Sequence[Features]], Batch]:
        """The collator of training."""
        return head_of(self.config).collator(self.tokenizer)

    @cached_property
    def tolerance(self) -> float:
        """The allowed relative difference between two ways to compute the same value."""
        return EXACT if self.is_exact else ROUGH

    @property
    def trains_all(self) -> bool:
        """Whether all weights are trained."""
        return all(p.requires_grad for p in self.model.parameters())

    @property
    def is_exact(self) -> bool:
        """Whether all weights are float32."""
        return all(p.dtype == torch.float32 for p in self.model.parameters())

    @cached_property
    def initial_hash(self) -> str:
        """The hash of the initial trainables."""
        return hash_tensors(self._initial)

    @cached_property
    def training(self) -> Training:
        """The training steps without accumulation; the model is trained from here on."""
        return self.train_again(gradient_accumulation_steps=1)

    @property
    def adapted(self) -> Any:
        """The row's model, trained if its method trains."""
        if self.config.method_type.trains:
            _ = self.training
        return self.model

    def train_again(self, *, gradient_accumulation_steps: int) -> Training:
        """Repeat the training steps from the initial trainables, with this number of micro-batches."""
        self._restore()
        frozen = _hash_frozen(self.model)
        training = replace(self.config.training, gradient_accumulation_steps=gradient_accumulation_steps)
        config = replace(self.config, training=training)
        arguments = factory.training_arguments(config, output_dir=self.folder)
        arguments.eval_strategy, arguments.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
        watch = GradientWatch()
        splits = {"train": self.rows, "validation": self.rows[:1]}
        trainer = make_trainer(
            Run(config=config, origins={}, folder=self.folder),
            RunComponents(tokenizer=self.tokenizer, model=self.model, arguments=arguments),
            TokenizedSplits(splits=splits, prompts=[], candidates=[], form=self.form, notes=[]),
            extra=[watch],
        )
        trainer.train()
        self.model.eval()
        after = _hash_frozen(self.model)
        return Training(
            logged=history(trainer.state.log_history),
            reached=watch.reached,
            changed=[name for name in frozen if frozen[name] != after.get(name)],
            num_frozen=len(frozen),
        )

    def hash_of_start(self, *, seed: int) -> str:
        """Build the row again from any state of the random generator, and hash its initial trainables."""
        torch.seed()
        config = replace(self.config, seed=seed)
        return hash_trainables(factory.build(config, output_dir=self.folder).model)

    def draws(self) -> bool:
        """Return whether the method's initial trainables are random, found by applying it again after another seed.

        A method that sets its own seed leaves the generator in the same state as before; its values count as random.
        """
        base = self._untouched_base()
        torch.manual_seed(ELSEWHERE)
        model = factory.apply_method(base, self.config, self.tokenizer)
        return hash_trainables(model) != self.initial_hash or torch.get_rng_state().equal(self._state_after_build)

    @torch.no_grad()
    def logits(self, model: PreTrainedModel) -> Tensor:
        """Return the logits of the classes [B, C], or those at the labeled tokens [number of tokens, V]."""
        logits, labels = model(**self.batch).logits, self.batch["labels"]
        return logits[:, -labels.shape[1] :][labels != -100] if head_of(self.config).generates else logits

    def outputs_of(self, model: PreTrainedModel) -> ModelOutput:
        """Return a model's outputs: classes of the rows, or texts generated from the prompts as in evaluation."""
        if not head_of(self.config).generates:
            return ModelOutput(inputs=self.batch, logits=self.logits(model))
        recorder: Any = Recorder(model)
        num_tokens = min(NUM_NEW_TOKENS, self.config.generation.max_new_tokens)
        generation = GenerationConfig(max_new_tokens=num_tokens, min_new_tokens=num_tokens)
        # The batch size is large enough for all prompts, sorted by length, to be one batch.
        generate_tokens(recorder, self.tokenizer, self.prompts, generation=generation, batch_size=len(self.prompts))
        return recorder.outputs

    @cached_property
    def outputs(self) -> ModelOutput:
        """The outputs of the trained model."""
        return self.outputs_of(self.adapted)

    @cached_property
    def untouched_outputs(self) -> ModelOutput:
        """The outputs of the untouched base for the same inputs."""
        base = [getattr(self.config, name) for name in ("seed", "init", *BASE)]
        read = self.prompts if head_of(self.config).generates else self.rows
        key = hash_json([head_of(self.config).name, quantization_of(self.config), base, read])
        if key not in self.untouched:
            self.untouched[key] = self.outputs_of(self._untouched_base().to(self.model.device))
        return self.untouched[key]

    @cached_property
    def _built(self) -> RunComponents:
        built = factory.build(self.config, output_dir=self.folder)
        self._state_after_build = torch.get_rng_state()
        switch_dropout_off(built.model)
        built.model.to(built.arguments.device).eval()
        return built

    @cached_property
    def _initial(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in named_trainables(self.model).items()}

    @torch.no_grad()
    def _restore(self) -> None:
        for name, initial in self._initial.items():
            self.model.get_parameter(name).copy_(initial)

    def _untouched_base(self) -> Any:
        return factory.seeded_base(self.config, self.tokenizer).requires_grad_(False).eval()

    def _encoded(self, encode: Callable[..., object], max_length: int) -> list[Any]:
        chosen = sorted(self.train[:NUM_TO_CHOOSE_FROM], key=lambda e: (len(e.reference), len(e.source)))[:NUM_EXAMPLES]
        examples = enumerate(islice(cycle(chosen), NUM_EXAMPLES))
        return [self._encode(encode, e, MAX_TOKENS + i * MORE_TOKENS, max_length) for i, e in examples]

    def _encode(self, encode: Callable[..., object], example: Example, num_tokens: int, max_length: int) -> Any:
        """Encode an example truncated to `num_tokens`, or to more if its completion and required parts need them."""
        while num_tokens < max_length:
            try:
                return encode(example, self.tokenizer, num_tokens)
            except UserError:
                num_tokens *= 2
        return encode(example, self.tokenizer, max_length)


def for_examination(config: RunConfig) -> RunConfig:
    """Return a run's config for the doctor: a few steps in float32, without evaluation between them."""
    training = replace(
        config.training,
        max_steps=NUM_STEPS,
        train_batch_size=NUM_EXAMPLES,
        gradient_accumulation_steps=1,
        lr_scheduler_type="constant",
        warmup_ratio=0.0,
        eval_strategy="steps",
        logging_steps=1,
        bf16=False,
        torch_compile=False,
        torch_compile_backend=None,
        dataloader_num_workers=0,
    )
    return replace(config, training=training)


def switch_dropout_off(model: nn.Module) -> None:
    """Set every dropout rate to zero, in the modules and in the config that they may read."""
    for module in (*model.modules(), getattr(model, "config", None)):
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and ("dropout" in name or name.endswith("pdrop")):
                setattr(module, name, 0.0)


def _hash_frozen(model: nn.Module) -> dict[str, str]:
    """Hash every tensor that is not trained, including buffers."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad} | dict(model.named_buffers())
    return {name: hash_tensors({name: tensor}) for name, tensor in frozen.items()}
