"""Summarization with a language model: article, separator, summary, eos; only the summary is scored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Format, Task
from hf_peft_compare.data.columns import check_columns, row_ids, text_of
from hf_peft_compare.data.completions import completion_format

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SummarizationSettings:
    """Settings of summarization.

    Args:
        article_column, summary_column: names of the dataset's columns.
        id_column: a column of row ids; if it is missing or None, rows are numbered.
        prompt_prefix, prompt_suffix: text before and after the article. "TL;DR:" is the suffix that GPT-2's authors
            used (Radford et al. 2019, section 3.6).
    """

    article_column: str = "article"
    summary_column: str = "highlights"
    id_column: str | None = "id"
    prompt_prefix: str = ""
    prompt_suffix: str = "\n\nTL;DR:"


def summarization_examples(dataset: Dataset, settings: SummarizationSettings) -> list[Example]:
    """Read the articles and summaries of a split.

    Raises:
        UserError: a column is missing (the existing ones are listed), or an article or summary is empty or not text.
    """
    check_columns(dataset, settings, ("article_column", "summary_column"))
    articles, summaries = dataset[settings.article_column], dataset[settings.summary_column]
    return [
        Example(id=i, source=text_of(article, "article", i), reference=text_of(summary, "summary", i))
        for i, article, summary in zip(row_ids(dataset, settings.id_column), articles, summaries, strict=True)
    ]


def summarization_format(settings: SummarizationSettings) -> Format:
    """Return the format with the article between prefix and suffix, then the summary; only the article is truncated."""
    return completion_format(
        lambda example: (settings.prompt_prefix, example.source.strip(), settings.prompt_suffix), key=asdict(settings)
    )


class Summarization(Task[SummarizationSettings]):
    """Summarization with a language model."""

    name = "summarization"
    title = "Summarization"
    head = "causal_lm"
    settings = SummarizationSettings
    metrics = ("rouge", "entity_recall")

    def examples(self, dataset: Dataset, settings: SummarizationSettings) -> list[Example]:
        """Return the articles and summaries of a split; raise UserError as `summarization_examples` does."""
        return summarization_examples(dataset, settings)

    def format(self, settings: SummarizationSettings) -> Format:
        """Return the format with the article between prefix and suffix as prompt, and the summary as completion."""
        return summarization_format(settings)

    def text_columns(self, settings: SummarizationSettings) -> list[str]:
        """Return the article column."""
        return [settings.article_column]
