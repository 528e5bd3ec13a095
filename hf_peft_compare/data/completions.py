"""Completions: tokenize prompt and completion within a maximum length, as one text or as two.

A causal LM reads one text. An encoder-decoder reads the prompt and writes the completion as two texts of their own; its
features hold one after the other all the same, so that a maximum length means the same for both kinds of base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example, Features, Format, PromptParts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


FEWEST_SHARED = 16  # tokens; a shorter start takes no more time than the copies of its cache


class DoesNotFit(UserError):
    """An example whose completion and fixed text are longer than the maximum length."""


def completion_format(
    parts: Callable[[Example], PromptParts],
    *,
    key: Any,
    completion: Callable[[Example], str] = lambda example: example.reference,
    **others: Any,
) -> Format:
    """Return the format in which a causal LM reads a prompt and completes it with a space, the completion and eos.

    Args:
        parts: returns the parts of an example's prompt.
        completion: returns the text after the prompt.
        others: other fields of the format.
    """

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        text = completion(example)
        ids = [*token_ids(tokenizer, f" {text}" if text else ""), tokenizer.eos_token_id]
        return completion_ids(ids, example, lambda room: encode_prompt(example, tokenizer, room), max_length)

    def encode_prompt(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[int]:
        return prompt_ids(tokenizer, parts(example), max_length)

    return Format(
        key=key,
        encode=encode,
        encode_prompt=encode_prompt,
        prompt=parts,
        whole_prompt=parts,
        completion=completion,
        **others,
    )


def as_two_texts(form: Format) -> Format:
    """Return the format of an encoder-decoder: prompt and completion are texts with the tokenizer's special tokens.

    A format without prompts stays as it is.
    """
    parts, completion = form.whole_prompt, form.completion
    if parts is None or completion is None:
        return form

    def encode(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Features:
        before, after = special_tokens(tokenizer)
        ids = [*before, *token_ids(tokenizer, completion(example)), *(after or [tokenizer.eos_token_id])]
        return completion_ids(ids, example, lambda room: encode_prompt(example, tokenizer, room), max_length)

    def encode_prompt(example: Example, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[int]:
        before, after = special_tokens(tokenizer)
        return prompt_ids(tokenizer, parts(example), max_length, before=before, after=after)

    return replace(form, key=[form.key, "two texts"], encode=encode, encode_prompt=encode_prompt)


def completion_ids(
    ids: list[int], example: Example, encode_prompt: Callable[[int], list[int]], max_length: int
) -> Features:
    """Return the features of an example: its prompt, in the room that its completion leaves, and the completion.

    Args:
        ids: the completion's tokens.
        encode_prompt: returns the prompt's tokens, at most as many as it is given.

    Raises:
        DoesNotFit: there is no room for a prompt.
    """
    try:
        prompt = encode_prompt(max_length - len(ids))
    except UserError as error:
        raise DoesNotFit(
            f"the completion of row {example.id} has {len(ids)} tokens, which with its prompt do not fit into "
            f"{max_length} tokens (max_length minus virtual tokens): {error} Or remove the row."
        ) from None
    return {"input_ids": prompt + ids, "num_completion_tokens": len(ids)}


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase,
    parts: PromptParts,
    max_length: int,
    *,
    special: bool = True,
    before: Sequence[int] | None = None,
    after: Sequence[int] = (),
) -> list[int]:
    """Tokenize a prompt to at most `max_length` tokens; only its middle part is truncated, at its end.

    Args:
        special: whether the middle part may have special tokens; if not, the parts around it name all of them.
        before: tokens before the first part, such as turns of a chat; None: bos if the tokenizer adds one itself.
        after: tokens after the last part.

    Raises:
        UserError: there is no room for even one token of the middle part.
    """
    prefix = [*(beginning(tokenizer) if before is None else before), *token_ids(tokenizer, parts[0])]
    suffix = [*token_ids(tokenizer, parts[2]), *after]
    room = max_length - len(prefix) - len(suffix)
    if room < 1:
        raise UserError(
            f"max_length leaves {max(max_length, 0)} tokens for the prompt, but the text before and after the "
            f"example's own text, including solved examples, takes {len(prefix) + len(suffix)}. Raise max_length, or "
            f"lower generation.max_new_tokens, the virtual tokens, or the number or length of solved examples."
        )
    return prefix + token_ids(tokenizer, parts[1], special=special)[:room] + suffix


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> list[int]:
    """Tokenize a text without adding special tokens.

    Args:
        special: whether the names of special tokens in the text become these; if not, they are text.
    """
    if not text:
        return []
    split = None if special else True  # None: the tokenizer's own choice
    return tokenizer(text, add_special_tokens=False, split_special_tokens=split, verbose=False)["input_ids"]


@lru_cache(maxsize=16)
def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tokens that the tokenizer itself puts before and after a text: T5 an eos, BART a bos and an eos."""
    inner, whole = tuple(token_ids(tokenizer, "a")), tuple(tokenizer("a", verbose=False)["input_ids"])
    start = next(i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
    return whole[:start], whole[start + len(inner) :]


def beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the bos token if the tokenizer adds one itself (Llama does, GPT-2 does not)."""
    first = tokenizer("a", verbose=False)["input_ids"][:1]
    return first if first == [tokenizer.bos_token_id] else []


def common_start(prompts: Sequence[Sequence[int]]) -> list[int]:
    """Return the tokens that all prompts begin with, such as solved examples; [] if they are too few to matter.

    Each prompt keeps a token of its own at least.
    """
    if len(prompts) < 2:
        return []
    first, last = min(prompts, key=tuple), max(prompts, key=tuple)  # what these two share, all between them share
    pairs = zip(first, last, strict=False)
    shared = [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)][: min(map(len, prompts)) - 1]
    return shared if len(shared) >= FEWEST_SHARED else []


def prompt_of(row: Features) -> Sequence[int]:
    """Return the tokens of a row before its completion."""
    return row["input_ids"][: len(row["input_ids"]) - row["num_completion_tokens"]]
