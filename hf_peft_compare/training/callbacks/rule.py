"""Follow a method's training rule, step by step."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_peft_compare.core.training_rule import TrainingRule


class FollowRule(TrainerCallback):
    """Start a method's training rule, and call it after each step of the optimizer, while the gradients are there."""

    def __init__(self, rule: TrainingRule) -> None:
        self.rule = rule

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Start the rule."""
        self.rule.start(model, state.max_steps)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: object,
    ) -> None:
        """Let the rule act after the step, which the Trainer counts only later."""
        self.rule.after_step(model, state.global_step + 1)
