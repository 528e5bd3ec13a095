"""Summarization by a causal LM: article, separator, summary, end of text; only the summary is scored."""

from __future__ import annotations

from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.config import STRICT
from hf_peft_compare.entries import Example, Task
from hf_peft_compare.errors import UserError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SummarizationSettings:
    """Settings of summarization.

    Args:
        article_column, summary_column: names of the dataset's columns.
        id_column: a column that names each row; where it is missing, rows are numbered.
        prompt_prefix, prompt_suffix: text before and after the article. "TL;DR:" is what GPT-2's authors used
            (Radford et al. 2019, section 3.6).
    """

    article_column: str = "article"
    summary_column: str = "highlights"
    id_column: str = "id"
    prompt_prefix: str = ""
    prompt_suffix: str = "\n\nTL;DR:"


def summarization_examples(dataset: Any, settings: SummarizationSettings) -> list[Example]:
    """Read articles and summaries of a split.

    Raises:
        UserError: a missing column (those that exist are named), an empty or non-text article or summary.
    """
    for key in ("article_column", "summary_column"):
        column = getattr(settings, key)
        if column not in dataset.column_names:
            columns = ", ".join(dataset.column_names)
            raise UserError(f"the dataset has no column {column!r}; it has {columns}. Set task.{key}.")
    articles, summaries = dataset[settings.article_column], dataset[settings.summary_column]
    ids = dataset[settings.id_column] if settings.id_column in dataset.column_names else [None] * len(dataset)
    named = [str(row if i is None else i) for row, i in enumerate(ids)]
    return [
        Example(id=i, source=_text(article, "article", i), reference=_text(summary, "summary", i))
        for i, article, summary in zip(named, articles, summaries, strict=True)
    ]


def _text(value: Any, what: str, row: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        came = "empty" if value is None or isinstance(value, str) else type(value).__name__
        raise UserError(f"the {what} of row {row} is {came}; expected text. Remove such rows from the dataset.")
    return value.strip()


def encode_summarization(
    example: Example, settings: SummarizationSettings, tokenizer: Any, max_length: int
) -> dict[str, Any]:
    """Tokenise article and summary to at most `max_length` tokens; the article is cut, never summary or separator.

    Returns:
        input_ids [T] and num_completion_tokens, the summary's tokens with the end-of-text token, at the right end.

    Raises:
        UserError: the summary alone leaves no room for an article.
    """
    completion = [*_ids(tokenizer, " " + example.reference), tokenizer.eos_token_id]
    room = max_length - len(completion)
    try:
        prompt = encode_summarization_prompt(example, settings, tokenizer, room)
    except UserError:
        raise UserError(
            f"the summary of row {example.id} has {len(completion)} tokens, too long for {max_length} tokens "
            f"with its prompt (max_length less virtual tokens). Raise max_length, lower the virtual tokens, or drop "
            f"the row."
        ) from None
    return {"input_ids": prompt + completion, "num_completion_tokens": len(completion)}


def encode_summarization_prompt(
    example: Example, settings: SummarizationSettings, tokenizer: Any, max_length: int
) -> list[int]:
    """Tokenise what the model reads before it writes, at most `max_length` tokens; only the article is cut.

    Raises:
        UserError: not even one token of the article fits.
    """
    prefix = _beginning(tokenizer) + _ids(tokenizer, settings.prompt_prefix)
    suffix = _ids(tokenizer, settings.prompt_suffix)
    room = max_length - len(prefix) - len(suffix)
    if room < 1:
        raise UserError(
            f"max_length leaves {max_length} tokens for the prompt, whose prefix and suffix take "
            f"{len(prefix) + len(suffix)}. "
            f"Raise max_length, or lower generation.max_new_tokens or the virtual tokens."
        )
    return prefix + _ids(tokenizer, example.source)[:room] + suffix


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []


def _beginning(tokenizer: Any) -> list[int]:
    """The beginning-of-text token where the tokenizer itself puts one (Llama does, GPT-2 does not)."""
    first = tokenizer("a", verbose=False)["input_ids"][:1]
    return first if first == [tokenizer.bos_token_id] else []


SUMMARIZATION = Task(
    name="summarization",
    title="Summarization",
    settings=SummarizationSettings,
    metrics=("rouge", "entity_recall"),
    examples=summarization_examples,
    encode=encode_summarization,
    encode_prompt=encode_summarization_prompt,
)
