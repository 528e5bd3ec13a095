"""Decide whether a run caches the hidden states of its frozen trunk, and load or compute them."""

from __future__ import annotations

from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.models.frozen_trunk import find_trunk
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.records.run_folder import TRUNK_CACHE_FOLDER
from hf_peft_compare.training.callbacks.phases import EVALUATION, TRAIN
from hf_peft_compare.training.factory import RunComponents
from hf_peft_compare.training.hidden_state_cache import TrunkCache, TrunkStates, describe, pays
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.trainer import longest_first
from hf_peft_compare.utils.distributed import asks_for_sharding


def kept_trunk_states(run: Run, built: RunComponents, encoded: TokenizedSplits) -> dict[str, TrunkStates]:
    """Return the frozen trunk's states of the train and validation examples if caching pays, else an empty dict."""
    trunk = find_trunk(built.model)
    splits = {"train": encoded.splits["train"], "validation": longest_first(encoded.splits["validation"])}
    if trunk is not None and trunk.embeds:
        if run.config.trial is None:  # small, and shared by every run with the same encoders
            splits["test"] = encoded.splits["test"]
        run.note(*trunk.notes)
    if run.config.is_encoder_decoder and run.config.training.trunk_cache:
        run.note("No states were cached: the trained blocks of an encoder-decoder read those of its encoder too.")
    on_cpu = built.arguments.device.type == "cpu"
    if trunk is None or asks_for_sharding():
        return {}
    if not pays(run.config, trunk=trunk, num_train=len(splits["train"]), on_cpu=on_cpu):
        return {}
    cache = TrunkCache(
        root=run.study_folder / TRUNK_CACHE_FOLDER,
        trunk=trunk,
        collate=head_of(run.config).collator(built.tokenizer),
        bf16=built.arguments.bf16 and not trunk.embeds,
        batch_size=built.arguments.per_device_eval_batch_size,
        filled_by=run.config.run,
        max_bytes=run.config.training.trunk_cache_max_bytes,
    )
    if not cache.fits(list(splits.values())):
        run.note("The frozen trunk's states exceed training.trunk_cache_max_bytes and are recomputed in every pass.")
        return {}
    with run.clock.measure(TRAIN):
        agrees = trunk.embeds or cache.agrees(built.model, splits["train"][0])
    if not agrees:
        run.note("This architecture cannot start from cached states of its frozen trunk: recomputed in every pass.")
        return {}
    phases = {"train": TRAIN, "validation": EVALUATION, "test": EVALUATION}
    states = {}
    for name, rows in splits.items():
        with run.clock.measure(phases[name]):
            states[name] = cache.states(rows)
    run.measured.trunk_cache = describe(states.values())
    run.test_states = states.pop("test", None)
    return states
