"""What peft types need beside the gradients of the task's loss, and which types and settings are not supported.

peft leaves these rules to the training loop: without them AdaLoRA never allocates a rank, and EVA trains plain LoRA.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.lora_starts import STARTS, by_start
from hf_peft_compare.methods.peft_adjustments import config_of, widen

if TYPE_CHECKING:
    from torch import Tensor, nn

Settings = Mapping[str, Any]

# peft types that cannot be trained as one row of a study.
UNSUPPORTED = {
    "CPT": "it learns from the labels of its own prompt, which a study does not have",
    "MULTITASK_PROMPT_TUNING": "it needs the task of each example, and a study has one task",
    "POLY": "it needs the task of each example, and a study has one task",
    "XLORA": "it mixes adapters that were trained before",
}
# Settings after which an interrupted run would not end as an undisturbed one.
UNSUPPORTED_SETTINGS = {
    "monteclora_config": "peft draws samples of each weight's size ahead of training, and saves none",
    "use_asa": "it takes parameters out of training on the way, which no checkpoint holds",
}
# Types that compute their first values from the base's weights, and so cannot be planned without any.
NEEDS_VALUES = ("ADAMSS", "BOFT", "FROD", "SHIRA", "UNILORA")
# Settings that a rule gives, when the number of steps is known; until then, a value that peft accepts.
LATER: Mapping[str, Settings] = {"ADALORA": {"total_step": 2**31}}


class PeftRule(TrainingRule):
    """A rule of a peft type.

    Args:
        given: the settings that the study gives, without peft's defaults.
    """

    def __init__(self, given: Settings) -> None:
        self.given = given


class AllocatedRanks(PeftRule):
    """AdaLoRA: ranks go to the matrices that need them, and its factors are kept nearly orthogonal.

    As in the experiments of Zhang et al. (2023), about a tenth of the steps come before ranks are taken away and about
    a half after it, unless `tinit` and `tfinal` are set.
    """

    def start(self, model: nn.Module, num_steps: int) -> None:
        """Set the schedule; raise UserError if it leaves no step in which ranks are allocated."""
        config = config_of(model)
        config.total_step = num_steps
        if config.target_r >= config.init_r:
            raise UserError(f"AdaLoRA: target_r is {config.target_r}; expected less than init_r, {config.init_r}.")
        config.tinit = self.given.get("tinit", num_steps // 10)
        config.tfinal = self.given.get("tfinal", num_steps // 2)
        if config.tinit >= num_steps - config.tfinal:
            raise UserError(
                f"AdaLoRA: tinit is {config.tinit} and tfinal is {config.tfinal} of {num_steps} training steps, which "
                f"leaves none to allocate ranks in; lower them, or train for longer."
            )
        self.allocator = _tuner(model).rankallocator
        self.factors = [(name, p) for name, p in model.named_parameters() if "lora_A" in name or "lora_B" in name]
        self.weight, config.orth_reg_weight = config.orth_reg_weight, 0.0  # `loss_term` adds it, for every head alike

    def loss_term(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return how far the factors are from orthogonal: the mean Frobenius norm of each one's Gram matrix minus I."""
        import torch

        grams = []
        for name, factor in self.factors:
            gram = factor @ factor.T if "lora_A" in name else factor.T @ factor
            grams.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return self.weight * torch.stack(grams).mean()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Update the importance of each rank, and take away the least important ones that are above the budget."""
        _tuner(model).update_and_allocate(step)

    def finish(self, model: nn.Module) -> str | None:
        """Keep the ranks of the best state, which may be older than the last allocation."""
        ranks = {n: (p != 0).view(-1).tolist() for n, p in _tuner(model).model.named_parameters() if "lora_E" in n}
        config = config_of(model)
        config.rank_pattern, config.orth_reg_weight = ranks, self.weight
        kept, had = (sum(map(count, ranks.values())) for count in (sum, len))
        return f"AdaLoRA kept {kept} of {had} ranks, in {len(ranks)} matrices; {config.target_r} each were aimed at."

    def state(self) -> dict[str, Any]:
        """Return the averages of importance, and the ranks that are left."""
        averages = {"sensitivity": self.allocator.exp_avg_ipt, "uncertainty": self.allocator.exp_avg_unc}
        return {**averages, "ranks": self.allocator.peft_config.rank_pattern}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the averages and the ranks."""
        import torch

        self.allocator.exp_avg_ipt, self.allocator.exp_avg_unc = state["sensitivity"], state["uncertainty"]
        self.allocator.ipt = {name: torch.zeros_like(average) for name, average in state["sensitivity"].items()}
        self.allocator.peft_config.rank_pattern = state["ranks"]


class Kasa(PeftRule):
    """LORA with `kasa_config`: singular values stay small, and the factors nearly orthogonal."""

    def loss_term(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return peft's own term."""
        term: Tensor = _tuner(model)._get_kasa_loss()
        return term


class ShadowLoss(PeftRule):
    """SHADOW: its small network beside the model learns the task itself too."""

    def start(self, model: nn.Module, num_steps: int) -> None:
        """Take the term from the model, which adds it with an LM head alone, and per micro-batch."""
        config = config_of(model)
        self.weight, config.auxiliary_loss_weight = config.auxiliary_loss_weight, 0.0

    def loss_term(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """Return the mean loss of the network's own answer."""
        labels = inputs["labels"]
        if labels.ndim > 1:
            labels = widen(labels, inputs["input_ids"].shape[1])
        term: Tensor = self.weight * _tuner(model).shadow_auxiliary_loss(labels, inputs["attention_mask"])
        return term

    def finish(self, model: nn.Module) -> str | None:
        """Restore the model's weight, which is saved with it."""
        config_of(model).auxiliary_loss_weight = self.weight
        return None


def rule_of(peft_type: str, settings: Settings) -> TrainingRule | None:
    """Return the rule of a peft type with these settings; None: gradients are all it needs."""
    return next(iter(_rules_of(peft_type, settings)), None)


def _rules_of(peft_type: str, settings: Settings) -> list[TrainingRule]:
    rules: list[TrainingRule] = [rule(settings) for applies, rule in _RULES if applies(peft_type, settings)]
    if peft_type == "LORA" and (start := by_start(settings, STARTS)):
        rules.append(start())
    return rules


_RULES: tuple[tuple[Any, Any], ...] = (
    (lambda kind, given: kind == "ADALORA", AllocatedRanks),
    (lambda kind, given: kind == "SHADOW", ShadowLoss),
    (lambda kind, given: kind == "LORA" and given.get("kasa_config"), Kasa),
)


def check_supported(peft_type: str, settings: Settings, task_type: str) -> None:
    """Raise UserError for a peft type, or an initialization, whose training needs what a run does not have.

    Args:
        task_type: peft's name of the head.
    """
    if reason := UNSUPPORTED.get(peft_type):
        raise UserError(f"peft_type {peft_type} is not supported: {reason}. Choose another type.")
    if (init := settings.get("init_lora_weights")) == "loftq":
        raise UserError(
            "init_lora_weights is 'loftq', which needs the base's plain weights beside the quantized ones, and is not "
            "supported; take 'corda', 'eva', 'lora_ga', 'olora' or 'pissa'."
        )
    if len(_rules_of(peft_type, settings)) > 1:
        raise UserError(
            f"kasa_config and init_lora_weights {init!r} are given, which change the same weights; remove one of them."
        )
    for key in ("cache_file", "covariance_file"):
        if (settings.get("corda_config") or {}).get(key):
            raise UserError(f"corda_config has {key}; a run computes what it holds from its own texts. Remove it.")
    if init == "eva" and task_type == "SEQ_2_SEQ_LM":
        raise UserError(
            "init_lora_weights is 'eva', which chooses by their labels among the tokens that a layer reads, and an "
            "encoder-decoder reads tokens without labels; take 'pissa', 'olora' or 'orthogonal'."
        )
    for key, reason in UNSUPPORTED_SETTINGS.items():
        if settings.get(key):
            raise UserError(f"{key} is not supported: {reason}. Remove it.")


def _tuner(model: nn.Module) -> Any:
    return model.base_model
