"""ROUGE per example, through an `evaluate.Metric` that needs no network.

Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries"; computed by the `rouge_score` package.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from hf_peft_compare.core.metric import Metric, Score

Scores = dict[str, list[float]]  # one list per score, a float per example
TYPES = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeLsum": "ROUGE-Lsum"}
PARTS = {"fmeasure": "F", "precision": "P", "recall": "R"}


@cache
def rouge_metric() -> Any:
    """Build the metric without bootstrap or stemming; not by `evaluate.load`, which queries the hub even for files."""
    import datasets
    import evaluate

    class PerExample(evaluate.Metric):
        """ROUGE of each text."""

        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description="ROUGE-1/2/L/Lsum precision, recall and F per example",
                citation="Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries",
                features=datasets.Features({"predictions": text, "references": text}),
            )

        def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> Scores:
            return _score(predictions, references)

    return PerExample()


def _score(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(TYPES), use_stemmer=False)
    scored = [scorer.score(r, p) for p, r in zip(predictions, references, strict=True)]
    return {f"{t}_{p}": [float(getattr(s[t], p)) for s in scored] for t in TYPES for p in PARTS}


def compute_rouge(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Return every ROUGE score of every example, each in [0, 1]."""
    return rouge_metric().compute(predictions=list(predictions), references=list(references))


class Rouge(Metric):
    """ROUGE-1, -2, -L and -Lsum."""

    name = "rouge"
    scores = [
        Score(name=f"{t}_{p}", title=f"{TYPES[t]} {PARTS[p]}", unit="ratio", greater_is_better=True)
        for t in TYPES
        for p in PARTS
    ]

    def compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
        """Return the scores of every example."""
        return compute_rouge(predictions, references)

    def refusal(self, reference: str) -> str | None:
        """Return that the package does not read most letters and digits of a reference, if so."""
        letters = [character for character in reference if character.isalnum()]
        if 2 * sum(map(str.isascii, letters)) >= len(letters):
            return None
        return "is mostly of other letters than a to z and digits, which are all that ROUGE reads"
