"""What a plan cannot know, and what in its settings will surprise."""

from __future__ import annotations

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.planning.devices import Device
from hf_peft_compare.planning.estimates import Counts
from hf_peft_compare.planning.lengths import Lengths
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.training.arguments import note_on_batch


def notes_on(plan: RunPlan, config: RunConfig, counts: Counts, lengths: Lengths, device: Device) -> list[str]:
    """Return the notes on a run's plan."""
    notes = note_on_batch(config, lengths.num_examples["train"]) if config.method_type.trains else []
    if None in (counts.steps, counts.validations, *counts.batches.values()):
        notes.append(
            "The size of a split is unknown without its data: set num_train_samples, num_validation_samples and "
            "num_test_samples."
        )
    patience = config.training.early_stopping_patience
    if counts.validations and patience is not None and counts.validations > patience + 1:
        notes.append("An upper bound: training may stop before the last epoch (early_stopping_patience).")
    if plan.precision == "bf16" and not device.bf16:
        notes.append(f"training.bf16 is set, but {device.title} has no native bf16: it is emulated, and slow.")
    return notes
