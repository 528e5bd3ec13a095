"""Checks of a whole study before anything is written or trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.method import Floor
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.checks import try_metrics
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import Examples, load_by_choice
from hf_peft_compare.data.tokenization import TOKEN_CACHE_FOLDER, tokenize_splits
from hf_peft_compare.evaluation.lm_eval_tasks import check_lm_eval
from hf_peft_compare.models.fitting import check_known, check_vocabulary
from hf_peft_compare.models.loading import base_on_meta, check_weights, load_tokenizer, tokenizer_path
from hf_peft_compare.planning.calibration import measure_rates
from hf_peft_compare.planning.devices import Device, here
from hf_peft_compare.planning.lengths import count_lengths
from hf_peft_compare.planning.meta_models import build_on_meta, check_settings
from hf_peft_compare.planning.planner import SharedInputs, grouped, plan_model
from hf_peft_compare.planning.sharing import Sharing
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.training.arguments import divide_batch


def check(configs: Sequence[RunConfig], *, num_processes: int, study_folder: Path | None = None) -> dict[str, RunPlan]:
    """Raise the UserError that any run would fail with: data, model, tokenizer, settings, lengths.

    Nothing is trained and no weights are loaded: models are built on the meta device. Nothing is written but the
    tokens of the shortest length of each form, since every text is tokenized anyway, and only after all checks passed.

    Args:
        study_folder: the folder in which the tokens are cached for the runs; None: not cached.

    Returns:
        The plan of each row with a model on this machine's device.
    """
    rows = {config.row: config for config in configs}
    check_lm_eval(list(rows.values()), num_processes=num_processes)
    examples = load_by_choice(list(rows.values()))
    config = next(iter(rows.values()))
    try_metrics(examples[config.train_choice]["test"], config)  # all rows share test examples and metrics
    groups = [
        _check_group(group, examples[group[0].train_choice], num_processes=num_processes)
        for group in grouped(rows.values())
    ]
    cache = study_folder / TOKEN_CACHE_FOLDER if study_folder else None
    device = _device()
    plans: dict[str, RunPlan] = {}
    for group in groups:
        if group.models:
            shared = group.shared_inputs(device, num_processes=num_processes, cache=cache)
            plans |= {row: plan_model(rows[row], model, shared) for row, model in group.models.items()}
    return plans


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Rows that passed all checks that write nothing, and their models on the meta device, by row."""

    configs: Sequence[RunConfig]
    examples: dict[str, list[Example]]
    tokenizer: Any = None
    base: Any = None
    models: Mapping[str, Any] = field(default_factory=dict)

    def shared_inputs(self, device: Device, *, num_processes: int, cache: Path | None) -> SharedInputs:
        """Tokenize all texts, and return the inputs of the rows' plans."""
        shortest = min(self.configs, key=lambda c: (not c.method_type.trains, c.max_text_length))
        encoded = tokenize_splits(shortest, self.examples, self.tokenizer, cache=cache)
        check_known(tokenizer_path(shortest), self.tokenizer, encoded.splits["test"])
        lengths = count_lengths(encoded.splits, max_length=shortest.max_length, cut_at=shortest.max_text_length)
        return SharedInputs(
            base=self.base,
            tokenizer=self.tokenizer,
            lengths=replace(lengths, num_examples={name: len(split) for name, split in self.examples.items()}),
            device=device,
            sharing=Sharing(num_processes=num_processes),
        )


def _check_group(configs: Sequence[RunConfig], examples: Examples, *, num_processes: int) -> _Group:
    first = configs[0]
    for config in configs:
        if isinstance(method := config.method_type, Floor):
            method.answers(config, examples)  # fails here if there are none for some
    modelled = [config for config in configs if config.method_type.uses_model]
    if not modelled:
        return _Group(configs=[], examples=examples)
    tokenizer, base = load_tokenizer(first), base_on_meta(first)
    check_weights(first)
    check_vocabulary(tokenizer_path(first), tokenizer, base)
    models = {}
    for config in modelled:
        format_of(config, examples["train"])  # fails before any tokens are written if the format is invalid
        check_settings(config, base)
        divide_batch(config, accumulation=config.training.gradient_accumulation_steps, num_processes=num_processes)
        models[config.row] = build_on_meta(config, base, tokenizer)
    return _Group(configs=modelled, examples=examples, tokenizer=tokenizer, base=base, models=models)


def _device() -> Device:
    """Return this machine's device; a CPU gets its measured rates, since there is no data sheet for them."""
    device = here()
    return device if device.cuda else measure_rates(device)
