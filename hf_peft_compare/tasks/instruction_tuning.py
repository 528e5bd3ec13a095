"""Instruction tuning: a causal LM answers a user's message, the last of a conversation of one or several turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, field, replace
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.settings import STRICT
from hf_peft_compare.core.task import Example, Format, MetricChoice, Task
from hf_peft_compare.data.completions import completion_format
from hf_peft_compare.data.conversations import ConversationSettings, read_conversations

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True, config=STRICT)
class InstructionTuningSettings(ConversationSettings):
    """Settings of instruction tuning.

    Args:
        metrics: the metrics of an answer, the one used for ranking first: names, or {name: settings}, such as
            {numeric_answer: {tolerance: 0.01}}.
    """

    metrics: list[MetricChoice] = field(default_factory=lambda: ["rouge", "exact_match"])


class InstructionTuning(Task[InstructionTuningSettings]):
    """Instructions, questions and conversations of several turns, answered by a causal LM.

    Every turn of the assistant is learned, with the token that ends it; the last one is written and scored in the test.
    """

    name = "instruction_tuning"
    title = "Instruction tuning"
    head = "causal_lm"
    settings = InstructionTuningSettings
    metrics = ("rouge", "exact_match")

    def examples(self, dataset: Dataset, settings: InstructionTuningSettings) -> list[Example]:
        """Return the conversations of a split; raise UserError as `read_conversations` does."""
        return read_conversations(dataset, settings)

    def format(self, settings: InstructionTuningSettings) -> Format:
        """Return the format of conversations: the user's last turn as prompt, the assistant's as completion."""
        key = {name: value for name, value in asdict(settings).items() if name != "metrics"}
        return replace(completion_format(lambda example: ("", example.source, ""), key=key), conversation=True)

    def text_columns(self, settings: InstructionTuningSettings) -> Sequence[str]:
        """Return the prompt's column."""
        return [settings.prompt_column or "prompt"]
