"""Tokenization: a study's texts are tokenized once per length, and shared by all methods and seeds with that length.

Tokens are cached as arrow files of `datasets`, named by the hash of everything that determines them, and memory-mapped
when read. The cache folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import datasets
import tokenizers
import transformers

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.checks import check_answers, check_candidates
from hf_peft_compare.data.fitting import CUT, LEFT_OUT, MAY_DROP, Encoder, count_cut, features_alone, rows_that_fit
from hf_peft_compare.data.formats import format_of, source_of, splits_read
from hf_peft_compare.data.splits import fingerprint
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.files import atomic_path
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKEN_CACHE_FOLDER = "cache/tokens"  # in the study's folder, next to its runs
ROWS, PROMPTS, CANDIDATES = "rows", "prompts", "candidates"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The model inputs for predicting examples.

    Args:
        rows: the examples with their references; empty if neither a loss nor a class is needed.
        prompts: input_ids of the prompts to generate from; empty if nothing is generated.
        candidates: the rows of every candidate of the first example, then of the second, and so on.
        form: the format they were encoded with.
    """

    rows: Sequence[Features]
    prompts: Sequence[list[int]]
    candidates: Sequence[Features]
    form: Format


@dataclass(frozen=True, kw_only=True)
class TokenizedSplits:
    """The tokenized splits of a run.

    Args:
        splits: the rows of each split, {"input_ids", "num_completion_tokens"} or {"input_ids", "label"}.
        prompts: input_ids of the prompts of the test split; empty if nothing is generated.
        candidates: the rows of every candidate of the first test example, then of the second, and so on.
        form: the format they were encoded with.
        notes: why the tokens could not be cached.
        num_dropped: {split: rows left out because they do not fit}; num_cut: {split: rows whose text was truncated}.
    """

    splits: dict[str, Any]
    prompts: list[list[int]]
    candidates: Any
    form: Format
    notes: list[str]
    num_dropped: dict[str, int] = field(default_factory=dict)
    num_cut: dict[str, int] = field(default_factory=dict)

    @property
    def test(self) -> Inputs:
        """The model inputs of the test split, with its references."""
        return Inputs(rows=self.splits["test"], prompts=self.prompts, candidates=self.candidates, form=self.form)


def tokenize_splits(
    config: RunConfig,
    examples: dict[str, list[Example]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    cache: Path | None = None,
) -> TokenizedSplits:
    """Tokenize all splits that a run reads, and the prompts or candidates of the test split.

    Texts are truncated to `max_length` minus virtual tokens. Train and validation rows that do not fit are left out, up
    to the share that the study allows. Only a run that trains reads more than the test split.

    Args:
        cache: the cache folder, in which tokens are looked up, and written once all texts are known to fit.

    Raises:
        UserError: a test completion, or too many others, are too long, or there is no room for a prompt; nothing is
            cached.
    """
    form = format_of(config, examples["train"])

    texts = splits_read(config, examples) | _queries(form, examples["test"])
    encoders = {name: _encoder(name, config, form, tokenizer) for name in texts}
    paths = _paths(cache, config, form, texts, tokenizer) if cache else dict.fromkeys(texts)
    with _first_process_first(), _without_progress_bars(), _named(config):
        tokens = {name: _read(paths[name], split) or _tokenize(split, encoders[name]) for name, split in texts.items()}
        check_answers(config, form, tokens["test"])
        check_candidates(form, tokens.get(CANDIDATES, ()))
        share = config.max_dropped_share
        kept = {name: rows_that_fit(tokens[name], texts[name], encoders[name], max_share=share) for name in texts}
        tokens, notes = _keep(tokens, paths)
    num_cut = {name: count_cut(split) for name, split in tokens.items() if name != CANDIDATES}
    num_cut["test"] = num_cut.pop(PROMPTS, num_cut["test"])
    tokens = {name: features_alone(split) for name, split in tokens.items()}
    tokens |= {name: tokens[name].select(rows) for name, rows in kept.items() if rows is not None}
    num_dropped = {name: len(texts[name]) - len(rows) for name, rows in kept.items() if rows is not None}
    prompts, candidates = tokens.pop(PROMPTS, []), tokens.pop(CANDIDATES, [])
    return TokenizedSplits(
        splits=tokens,
        prompts=[row["input_ids"] for row in prompts],
        candidates=candidates,
        form=form,
        notes=notes,
        num_dropped=num_dropped,
        num_cut={name: number for name, number in num_cut.items() if number},
    )


@contextmanager
def _named(config: RunConfig) -> Iterator[None]:
    """Name the row in errors if its method has a format of its own, so that other rows may fit."""
    try:
        yield
    except UserError as error:
        raise (UserError(f"method {config.row}: {error}") if config.method_type.has_format else error) from None


def tokenize_inputs(
    config: RunConfig, form: Format, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase
) -> Inputs:
    """Tokenize the inputs with which a run's model predicts these examples.

    Raises:
        UserError: a text does not fit.
    """
    queries = _queries(form, examples) or {ROWS: list(examples)}
    encoders = {name: _encoder(name, config, form, tokenizer) for name in queries}
    encoded = {name: [encoders[name].features(text) for text in texts] for name, texts in queries.items()}
    prompts = [row["input_ids"] for row in encoded.get(PROMPTS, [])]
    return Inputs(rows=encoded.get(ROWS, []), prompts=prompts, candidates=encoded.get(CANDIDATES, []), form=form)


def _queries(form: Format, examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Return the additional inputs for prediction: each example with every candidate, or each example's prompt."""
    if form.candidates:
        return {CANDIDATES: [replace(e, reference=answer) for e in examples for answer in form.candidates]}
    return {PROMPTS: list(examples)} if form.encode_prompt is not None else {}


def _encoder(name: str, config: RunConfig, form: Format, tokenizer: PreTrainedTokenizerBase) -> Encoder:
    may_drop = name in MAY_DROP
    if name != PROMPTS:
        return Encoder(
            encode=lambda example, length: form.encode(example, tokenizer, length),
            max_length=config.max_text_length,
            may_drop=may_drop,
            split="test" if name == CANDIDATES else name,
            masked=form.conversation,
        )
    encode_prompt = form.encode_prompt
    assert encode_prompt is not None, "only formats that generate have prompts"
    return Encoder(
        encode=lambda example, length: {"input_ids": encode_prompt(example, tokenizer, length)},
        max_length=config.max_prompt_length,
        may_drop=False,
        split="test",
    )


def _paths(
    cache: Path, config: RunConfig, form: Format, texts: dict[str, list[Example]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Path | None]:
    """Return the cache file of each split and of prompts or candidates, named by all that determines the tokens."""
    shared = {
        "format": [form.key, source_of(config, form)],
        "tokenizer": _hash_tokenizer(tokenizer),
        "columns": [CUT, LEFT_OUT],
        "versions": [transformers.__version__, tokenizers.__version__],
    }
    parts = {name: [text, config.max_text_length] for name, text in fingerprint(texts).items()}
    if PROMPTS in parts:
        parts[PROMPTS][1] = config.max_prompt_length
    return {name: cache / f"{name}-{hash_json([part, shared])}.arrow" for name, part in parts.items()}


def _hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a hash of all that a tokenizer saves: vocabulary, special tokens, settings."""
    tokenizer("", verbose=False)  # resets the truncation of its last call, which is saved too
    digest = hashlib.sha256()
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path | None, texts: Sequence[Example]) -> datasets.Dataset | None:
    """Return the cached tokens of a split; None if the file is missing or incomplete."""
    if path is None or not path.is_file():
        return None
    try:
        tokens = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError):  # truncated within a batch
        return None
    return tokens if len(tokens) == len(texts) else None


def _tokenize(texts: Sequence[Example], encode: Encoder) -> datasets.Dataset:
    """Tokenize a split into memory, four bytes per token; errors of `encode` are raised unchanged."""
    rows = datasets.Dataset.from_dict({"row": range(len(texts))})
    return rows.map(
        lambda row: encode(texts[row["row"]]),
        remove_columns="row",
        keep_in_memory=True,
        new_fingerprint="0",  # avoids hashing the function and everything it references
    )


def _keep(
    tokens: Mapping[str, datasets.Dataset], paths: Mapping[str, Path | None]
) -> tuple[dict[str, datasets.Dataset], list[str]]:
    """Write tokens that are not cached yet, and memory-map them; return the tokens, and a note if writing failed."""
    kept = dict(tokens)
    for name, path in paths.items():
        if path is None or tokens[name].cache_files:
            continue
        try:
            kept[name] = _write(tokens[name], path)
        except OSError as error:
            return kept, [
                f"Tokens could not be cached in the study's folder ({error.strerror}), so other runs cannot reuse them."
            ]
    return kept, []


def _write(tokens: datasets.Dataset, path: Path) -> datasets.Dataset:
    """Write tokens to a temporary file and rename it, so that the file is complete even with concurrent writers."""
    with atomic_path(path) as whole:
        tokens.with_format("arrow").map(
            lambda table: table, batched=True, cache_file_name=str(whole), new_fingerprint=path.stem
        )
    return datasets.Dataset.from_file(str(path))


@contextmanager
def _first_process_first() -> Iterator[None]:
    """Run the body in the main process first, then in the others, even if it fails in the main process."""
    state = process_state()
    if not state.is_main_process:
        state.wait_for_everyone()
    try:
        yield
    finally:
        if state.is_main_process:
            state.wait_for_everyone()


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Disable the progress bars of `datasets`, which would clutter logs."""
    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()
