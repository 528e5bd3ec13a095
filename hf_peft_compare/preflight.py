"""Checks of a whole study before anything of it is written or trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_peft_compare import factory
from hf_peft_compare.config import RunConfig
from hf_peft_compare.data import load_examples
from hf_peft_compare.entries import get_method
from hf_peft_compare.errors import UserError
from hf_peft_compare.planning import RunPlan
from hf_peft_compare.planning.building import build_on_meta, check_lengths
from hf_peft_compare.planning.calibration import measure_rates
from hf_peft_compare.planning.devices import Device, here
from hf_peft_compare.planning.lengths import count_lengths
from hf_peft_compare.planning.planner import Ground, plan_model
from hf_peft_compare.tokenised import TOKEN_CACHE_FOLDER, encode

WEIGHT_FILES = ("*.safetensors", "*.bin")


def check(configs: Sequence[RunConfig], *, num_processes: int, study_folder: Path | None = None) -> dict[str, RunPlan]:
    """Raise the UserError that any of the runs would end with: data, model, tokenizer, settings, lengths.

    Nothing is trained and no weights are loaded: models are built on the meta device. Nothing is written but the
    tokens of the shortest length, since every text was tokenised, and only once all of this has passed.

    Args:
        study_folder: where the tokens are kept for the runs; None: nowhere.

    Returns:
        What each row with a model will take on the device that is here.
    """
    rows = {config.row: config for config in configs}
    first = next(iter(rows.values()))
    examples = load_examples(first)
    modelled = [config for config in rows.values() if get_method(config.method["name"]).predict is None]
    if not modelled:
        return {}
    tokenizer = factory.load_tokenizer(first)
    base = factory.base_on_meta(first)
    _check_weights(first)
    models = {}
    for config in modelled:
        check_lengths(config, base)
        factory.training_arguments(config, output_dir=Path())
        factory.micro_batch_size(
            config, accumulation=config.training.gradient_accumulation_steps, num_processes=num_processes
        )
        models[config.row] = build_on_meta(config, base, tokenizer)
    shortest = min(modelled, key=lambda config: config.max_text_length)
    cache = study_folder / TOKEN_CACHE_FOLDER if study_folder else None
    encoded = encode(shortest, examples, tokenizer, cache=cache)  # writes: nothing after it may refuse
    ground = Ground(
        base=base,
        tokenizer=tokenizer,
        lengths=count_lengths(encoded.splits, max_length=first.max_length, cut_at=shortest.max_text_length),
        device=_device(),
        num_processes=num_processes,
    )
    return {config.row: plan_model(config, models[config.row], ground) for config in modelled}


def _device() -> Device:
    """Describe the device that is here; a processor by its own rates, since no data sheet tells them."""
    device = here()
    return device if device.cuda else measure_rates(device)


def _check_weights(config: RunConfig) -> None:
    folder = Path(factory.model_path(config))
    if config.init == "pretrained" and folder.is_dir() and not any(any(folder.glob(p)) for p in WEIGHT_FILES):
        raise UserError(
            f"model folder {folder} has no weights ({' or '.join(WEIGHT_FILES)}); give a folder that "
            f"save_pretrained wrote, or set init=config to begin with random weights."
        )
