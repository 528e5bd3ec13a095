"""The contract of methods, for tests of new methods: `check_method(MyMethod)` builds a method on tiny models.

    from hf_peft_compare.testing import check_method

    def test_my_method():
        check_method(MyMethod, {"rank": 2})

The models are built with random weights: nothing is downloaded, and a check takes a second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import AnyMethod, Value
from hf_peft_compare.core.registry import get_method, register_method
from hf_peft_compare.models.heads import head_of, lm_head_of
from hf_peft_compare.models.loading import seeded_base
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.planning.meta_models import build_on_meta, plan_architecture, trace_base
from hf_peft_compare.training.factory import apply_method
from hf_peft_compare.utils.formatting import name_some

VOCABULARY_SIZE = 300
_BLOCKS = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 128}
_WIDE = {"initializer_range": 0.2}  # wide enough for logits to differ between tokens without training
# Two blocks of width 32 each, of T5 64, so that some can be stored in 4 bits; a key is transformers' `model_type`.
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {**_WIDE, "vocab_size": VOCABULARY_SIZE, "n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 128}
    | {"bos_token_id": 0, "eos_token_id": 0},
    "llama": {**_WIDE, **_BLOCKS, "vocab_size": VOCABULARY_SIZE, "intermediate_size": 64}
    | {"bos_token_id": 1, "eos_token_id": 0},
    "bert": {**_WIDE, **_BLOCKS, "vocab_size": VOCABULARY_SIZE + 3, "intermediate_size": 64},
    "t5": {"vocab_size": VOCABULARY_SIZE, "d_model": 64, "d_kv": 32, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    | {"dropout_rate": 0.0},
    "bart": {"vocab_size": VOCABULARY_SIZE, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "init_std": 0.2}
    | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    | {"max_position_embeddings": 128, "pad_token_id": 1, "decoder_start_token_id": 0},
}
_TASKS: Mapping[str, dict[str, Any]] = {"bert": {"name": "sequence_classification", "labels": ["no", "yes"]}}
_IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@dataclass(frozen=True)
class Case:
    """One method with its settings on one tiny model, built as in a run.

    Args:
        method: the name of a registered method.
        settings: the method's settings, as in a row of a study.
        architecture: a key of `ARCHITECTURES`; "bert" has a class head, the others generate text.
    """

    method: str
    settings: Mapping[str, Value]
    architecture: str

    @cached_property
    def config(self) -> RunConfig:
        """The run's config."""
        return RunConfig(
            study="contract",
            row=self.method,
            seed=0,
            method={"name": self.method, **self.settings},
            task=_TASKS.get(self.architecture, {"name": "summarization"}),
            dataset="none",
            model_name_or_path=f"tiny {self.architecture}",
            init="config",
            architecture={"model_type": self.architecture, **ARCHITECTURES[self.architecture]},
            max_length=96,
        )

    @property
    def type(self) -> AnyMethod:
        """The method."""
        return self.config.method_type

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A tokenizer with the model's vocabulary, with padding as in a run."""
        tokenizer = tiny_encoder_tokenizer() if self.architecture == "bert" else tiny_tokenizer()
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        tokenizer.padding_side = "left" if self.architecture in ("gpt2", "llama") else "right"
        tokenizer.name_or_path = self.config.model_name_or_path  # as for a loaded tokenizer; peft's configs store it
        return tokenizer

    def base(self) -> PreTrainedModel:
        """Return a new base with the same weights each time, in evaluation mode."""
        return seeded_base(self.config, self.tokenizer).eval()

    def model(self) -> Any:
        """Return the adapted model on a new base, in evaluation mode."""
        base, _ = self.base(), self.config.method_settings  # invalid settings are the caller's error, as in a study
        try:
            return apply_method(base, self.config, self.tokenizer).eval()
        except UserError as error:
            raise AssertionError(f"method {self.method} on {self.architecture}: {error}") from error

    def tuned(self) -> Any:
        """Return the adapted model with its trainable parameters changed, as after training."""
        return shake_trainables(self.model())


def check_method(
    method: str | AnyMethod | type[AnyMethod],
    settings: Mapping[str, Value] | None = None,
    *,
    architectures: Sequence[str] = ("gpt2", "llama", "bert"),
) -> None:
    """Check the contract of a method that trains.

    Args:
        method: the name of a registered method, or a class or instance, which is registered.
        settings: the method's settings, as in a row of a study.
        architectures: the models to check on, keys of `ARCHITECTURES`.

    Raises:
        AssertionError: a check fails; the message names it and the architecture.
        UserError: the method rejects its settings or the architecture, or lacks a required attribute or method.
    """
    if not isinstance(method, str):
        register_method(method)
        method = method.name
    get_method(method)
    for architecture in architectures:
        for check in CHECKS:
            check(Case(method, settings or {}, architecture))


def check_trainables(case: Case) -> None:
    """Check that a step changes only the method's parameters, all of them float32, and no other bit of the base."""
    model = case.model().train()
    trained = named_trainables(model)
    _expect(case, bool(trained), "no parameter requires gradients; build() must set requires_grad")
    _expect(case, all(p.dtype == torch.float32 for p in trained.values()), "a trainable parameter is not float32")
    tensors = [*model.named_parameters(), *model.named_buffers()]  # running statistics move without a gradient
    before = {name: tensor.detach().clone() for name, tensor in tensors}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2, weight_decay=0.0)
    loss = _forward(model, labels=_labels(case)).loss
    loss.backward()
    _expect(case, bool(torch.isfinite(loss)), f"the loss is {loss.item()}")
    without = [name for name, p in trained.items() if p.grad is None]
    _expect(case, not without, f"the loss gives no gradient to {name_some(without, 5)}")
    optimizer.step()
    changed = {name for name, tensor in tensors if not torch.equal(tensor, before[name])}
    frozen = changed - set(trained)
    _expect(case, not frozen, f"a step changed frozen parameters or buffers: {name_some(frozen, 5)}")
    _expect(case, bool(changed), "a step changed no parameter")


def check_saving(case: Case) -> None:
    """Check that saving and loading preserves the outputs."""
    model, base = case.tuned(), case.base().requires_grad_(False)
    untouched, expected = _logits(base), _logits(model)
    with tempfile.TemporaryDirectory() as name:
        case.type.save(model, Path(name))
        loaded = case.type.load(base, Path(name), case.config.method_settings).eval()
    _expect_close(case, _logits(loaded), expected, "the outputs differ after saving and loading")
    _expect(
        case,
        not torch.allclose(_last(expected), _last(untouched), atol=1e-2),
        "the trained parameters do not change the outputs",
    )


def check_size(case: Case) -> None:
    """Check that only trained parameters are saved."""
    model = case.model()
    with tempfile.TemporaryDirectory() as name:
        case.type.save(model, Path(name))
        files = [path for path in Path(name).rglob("*") if path.suffix in (".safetensors", ".bin", ".pt")]
        saved = sum(path.stat().st_size for path in files)
    _expect(case, bool(files), "save() wrote no .safetensors, .bin or .pt file")
    trained = sum(p.numel() * p.element_size() for p in named_trainables(model).values())
    overhead = 5_000 + 200 * len(named_trainables(model))  # names and shapes
    _expect(case, saved < trained + overhead, f"save() wrote {saved} bytes, but {trained} were trained")


def check_merging(case: Case) -> None:
    """Check that `merge` returns a plain model with the same outputs, or raises UserError."""
    model, kind = case.tuned(), type(case.base())
    expected = _logits(model)
    try:
        merged = case.type.merge(model)
    except UserError:
        # A setting of a mergeable method may rule out merging, e.g. a peft type with virtual tokens.
        return
    _expect(case, case.type.mergeable, "merge() returns a model, but mergeable is false; set it")
    _expect(case, type(merged) is kind, f"merge() returns {type(merged).__name__}; expected a plain {kind.__name__}")
    _expect_close(case, _logits(merged), expected, "the outputs differ after merging", tolerance=1e-4)
    with tempfile.TemporaryDirectory() as folder:
        merged.save_pretrained(folder)
        again = kind.from_pretrained(folder).eval()
    _expect_close(
        case, _logits(again), expected, "the outputs differ after merging, saving and loading", tolerance=1e-4
    )


def check_on_meta(case: Case) -> None:
    """Check that it builds with the same trainable parameters on the meta device, where studies are planned."""
    base = trace_base(plan_architecture(case.config), head_of(case.config))
    traced = named_trainables(build_on_meta(case.config, base, case.tokenizer))
    real = named_trainables(case.model())
    _expect(case, all(p.is_meta for p in traced.values()), "build() creates real tensors for a base on the meta device")
    sizes = [(set(each), sum(p.numel() for p in each.values())) for each in (traced, real)]
    _expect(
        case, sizes[0] == sizes[1], "the trainable parameters on the meta device differ from those on a real device"
    )


CHECKS = (check_trainables, check_saving, check_size, check_merging, check_on_meta)


def _labels(case: Case) -> Tensor:
    return torch.tensor([1]) if case.architecture == "bert" else _IDS.where(_IDS > 7, -100)  # a prompt of three tokens


def _forward(model: nn.Module, **inputs: Tensor) -> Any:
    own = {"labels": _IDS} if lm_head_of(model).reads_apart else {}  # which its decoder reads
    return model(input_ids=_IDS, attention_mask=torch.ones_like(_IDS), **{**own, **inputs})


@torch.no_grad()
def _logits(model: nn.Module) -> Tensor:
    return _forward(model).logits


def _last(logits: Tensor) -> Tensor:
    """Return the logits of the last token, or of the whole text; virtual tokens add others in front."""
    return logits.flatten(0, -2)[-1]


def _expect(case: Case, holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"method {case.method} on {case.architecture}: {otherwise}.")


def _expect_close(case: Case, one: Tensor, other: Tensor, otherwise: str, *, tolerance: float = 1e-5) -> None:
    # Rounding grows with the largest of the values that sums are made of, not with each.
    close = one.shape == other.shape and bool((one - other).abs().max() <= tolerance * (1 + other.abs().max()))
    _expect(case, close, otherwise)


@torch.no_grad()
def shake_trainables(model: Any, *, seed: int = 1, scale: float = 0.3) -> Any:
    """Add noise to every trainable parameter, as training would, so that adapters that start at zero have an effect."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return model


def tiny_tokenizer(
    texts: Sequence[str] = (), *, begins_with_bos: bool = False, ends_with_eos: bool = False
) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE with an end-of-text token and no pad token, trained on a few texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=["<|endoftext|>", "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if begins_with_bos or ends_with_eos:
        around = " ".join(["<s>"] * begins_with_bos + ["$A"] + ["<|endoftext|>"] * ends_with_eos)
        special = [("<|endoftext|>", 0), ("<s>", 1)]
        tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=special)
    bos = {"bos_token": "<s>"} if begins_with_bos else {}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", **bos)


def tiny_encoder_tokenizer(texts: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Return a tokenizer like `tiny_tokenizer`, with an encoder's special tokens and token types for pairs."""
    inner = tiny_tokenizer(texts).backend_tokenizer
    inner.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    special = [(token, inner.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="<|endoftext|>"
    )
