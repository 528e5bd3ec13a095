"""Statement checking: a prompt asks a language model whether a statement is true or false, and its answer is parsed."""

from __future__ import annotations

from dataclasses import field

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.tasks.instructed_classification import InstructedClassificationSettings, InstructedTask

ANSWERS = {
    "true": ["True", "correct", "accurate", "yes"],
    "false": ["False", "not true", "untrue", "incorrect", "not correct", "inaccurate", "not accurate", "wrong", "no"],
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StatementCheckingSettings(InstructedClassificationSettings):
    """Settings of statement checking: those of instructed classification, for statements that are true or false.

    Labels are "true" and "false"; as keys of `answers` in YAML they need quotes.
    """

    text_column: str = "statement"
    labels: list[str] = field(default_factory=lambda: list(ANSWERS))
    template: str = "Is this statement true or false? {statement}\nAnswer:"
    answers: dict[str, list[str]] = field(
        default_factory=lambda: {label: list(words) for label, words in ANSWERS.items()}
    )


class StatementChecking(InstructedTask[StatementCheckingSettings]):
    """Classification of statements as true or false."""

    name = "statement_checking"
    title = "Statement checking"
    settings = StatementCheckingSettings
