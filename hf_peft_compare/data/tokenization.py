"""A study's texts as tokens: made once for each length, and read by all methods and seeds that have it in common.

They are kept as arrow files of `datasets`, named by the hash of all that decides them, and memory-mapped where they
are read. Their folder can be removed at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import datasets
import tokenizers
import transformers

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format
from hf_peft_compare.data.formats import format_of, source_of, splits_read
from hf_peft_compare.data.splits import fingerprint
from hf_peft_compare.utils.distributed import process_state
from hf_peft_compare.utils.hashing import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKEN_CACHE_FOLDER = "cache/tokens"  # in a study's folder, beside its runs
ROWS, PROMPTS, CANDIDATES = "rows", "prompts", "candidates"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model reads to predict some examples.

    Args:
        rows: the examples with their references; empty where neither loss nor class is asked for.
        prompts: input_ids that a text is generated from; empty where nothing is generated.
        candidates: the rows of every candidate of the first example, then of the second, and so on.
        form: the format that they were made by.
    """

    rows: Sequence[Features]
    prompts: Sequence[list[int]]
    candidates: Sequence[Features]
    form: Format


@dataclass(frozen=True, kw_only=True)
class TokenizedSplits:
    """A run's data as tokens.

    Args:
        splits: the rows of each split, {"input_ids", "num_completion_tokens"} or {"input_ids", "label"}.
        prompts: what is read before each completion of the test split; empty where nothing is generated.
        candidates: the rows of every candidate of the first test example, then of the second, and so on.
        form: the format they were made by.
        notes: why they could not be kept.
    """

    splits: dict[str, Any]
    prompts: list[list[int]]
    candidates: Any
    form: Format
    notes: list[str]

    @property
    def test(self) -> Inputs:
        """What is read to predict the test split, with its references."""
        return Inputs(rows=self.splits["test"], prompts=self.prompts, candidates=self.candidates, form=self.form)


def tokenize_splits(
    config: RunConfig,
    examples: dict[str, list[Example]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    cache: Path | None = None,
) -> TokenizedSplits:
    """Tokenize all splits that a run reads, and what the test split is asked by.

    All is cut to what virtual tokens leave of `max_length`. Only a run that trains reads more than the test split.

    Args:
        cache: the folder where tokens are looked for, and kept once all texts are known to fit.

    Raises:
        UserError: a completion that is too long, or no room for a prompt; nothing is kept.
    """
    form = format_of(config, examples["train"])

    texts = splits_read(config, examples) | _asked(form, examples["test"])
    encoders = {name: _encoder(name, config, form, tokenizer) for name in texts}
    paths = _paths(cache, config, form, texts, tokenizer) if cache else dict.fromkeys(texts)
    with _first_process_first(), _without_progress_bars():
        tokens = {name: _read(paths[name], split) or _tokenize(split, encoders[name]) for name, split in texts.items()}
        _check_answers(config, form, tokens["test"])
        tokens, notes = _keep(tokens, paths)
    prompts, candidates = tokens.pop(PROMPTS, []), tokens.pop(CANDIDATES, [])
    return TokenizedSplits(
        splits=tokens, prompts=[row["input_ids"] for row in prompts], candidates=candidates, form=form, notes=notes
    )


def tokenize_inputs(
    config: RunConfig, form: Format, examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase
) -> Inputs:
    """Tokenize what a run's model reads to predict these examples.

    Raises:
        UserError: a text that does not fit.
    """
    asked = _asked(form, examples) or {ROWS: list(examples)}
    made = {name: list(map(_encoder(name, config, form, tokenizer), texts)) for name, texts in asked.items()}
    prompts = [row["input_ids"] for row in made.get(PROMPTS, [])]
    return Inputs(rows=made.get(ROWS, []), prompts=prompts, candidates=made.get(CANDIDATES, []), form=form)


def _asked(form: Format, examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Return what is read to predict, beside the examples themselves: each with every candidate, or its prompt."""
    if form.candidates:
        return {CANDIDATES: [replace(e, reference=answer) for e in examples for answer in form.candidates]}
    return {PROMPTS: list(examples)} if form.encode_prompt is not None else {}


def _encoder(
    name: str, config: RunConfig, form: Format, tokenizer: PreTrainedTokenizerBase
) -> Callable[[Example], Features]:
    if name != PROMPTS:
        return lambda example: form.encode(example, tokenizer, config.max_text_length)
    encode_prompt = form.encode_prompt
    assert encode_prompt is not None, "only what generates has prompts"
    return lambda example: {"input_ids": encode_prompt(example, tokenizer, config.max_prompt_length)}


def _check_answers(config: RunConfig, form: Format, rows: Sequence[Features]) -> None:
    """Refuse to generate fewer tokens than the answers have that are looked for: none would ever be read."""
    if form.read is None or form.candidates:
        return
    longest = max(row["num_completion_tokens"] for row in rows) - 1  # the end of text need not be written
    if longest > config.generation.max_new_tokens:
        raise UserError(
            f"{config.row}: the answers have up to {longest} tokens, and generation.max_new_tokens is "
            f"{config.generation.max_new_tokens}: they would be cut and not be read. Raise it to {longest} or more."
        )


def _paths(
    cache: Path, config: RunConfig, form: Format, texts: dict[str, list[Example]], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Path | None]:
    """Name the file of each split, and of what the test split is asked by, by all that decides its tokens."""
    shared = {
        "format": [form.key, source_of(config, form)],
        "tokenizer": _hash_tokenizer(tokenizer),
        "versions": [transformers.__version__, tokenizers.__version__],
    }
    parts = {name: [text, config.max_text_length] for name, text in fingerprint(texts).items()}
    if PROMPTS in parts:
        parts[PROMPTS][1] = config.max_prompt_length
    return {name: cache / f"{name}-{hash_json([part, shared])}.arrow" for name, part in parts.items()}


def _hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash all that a tokenizer writes of itself: vocabulary, special tokens, settings."""
    tokenizer("", verbose=False)  # what it writes holds the truncation of its last call
    digest = hashlib.sha256()
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path | None, texts: Sequence[Example]) -> datasets.Dataset | None:
    """Read the tokens of a split; None where there are none, or not all."""
    if path is None or not path.is_file():
        return None
    try:
        tokens = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError):  # cut within a batch
        return None
    return tokens if len(tokens) == len(texts) else None


def _tokenize(texts: Sequence[Example], encode: Callable[[Example], Features]) -> datasets.Dataset:
    """Tokenize a split into memory, four bytes per token; an error of `encode` comes out as it is."""
    rows = datasets.Dataset.from_dict({"row": range(len(texts))})
    return rows.map(
        lambda row: encode(texts[row["row"]]),
        remove_columns="row",
        keep_in_memory=True,
        new_fingerprint="0",  # spares hashing the function with all that it holds
    )


def _keep(
    tokens: Mapping[str, datasets.Dataset], paths: Mapping[str, Path | None]
) -> tuple[dict[str, datasets.Dataset], list[str]]:
    """Write tokens that do not stand in their files yet, and map them from there; where that fails, say so."""
    kept = dict(tokens)
    for name, path in paths.items():
        if path is None or tokens[name].cache_files:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept[name] = _write(tokens[name], path)
        except OSError as error:
            return kept, [f"Tokens could not be kept in the study's folder ({error.strerror}): made by this run alone."]
    return kept, []


def _write(tokens: datasets.Dataset, path: Path) -> datasets.Dataset:
    """Write tokens elsewhere and rename: what stands at the path is whole, whoever is writing it too."""
    with TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / path.name
        tokens.with_format("arrow").map(
            lambda table: table, batched=True, cache_file_name=str(whole), new_fingerprint=path.stem
        )
        whole.replace(path)
    return datasets.Dataset.from_file(str(path))


@contextmanager
def _first_process_first() -> Iterator[None]:
    """Let the first process go ahead, and the others after it however it ends."""
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
    """Keep the bars of `datasets` out of logs."""
    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()
