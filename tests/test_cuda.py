"""What only a CUDA device shows: bf16, memory peaks, steps that do not wait for the device, compiled kernels."""

import warnings
from pathlib import Path

import pytest
import torch
from tiny import NO_DROPOUT, known, shake_trainables, token_rows
from transformers import TrainerCallback

from hf_peft_compare.config.training import GenerationConfig
from hf_peft_compare.evaluation.generation import generate_tokens
from hf_peft_compare.training import run as training
from hf_peft_compare.training.trainer import make_trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

ROWS = ["prompt_tuning", "last_layers", "lora", "full"]


@pytest.mark.parametrize("row", ROWS)
def test_a_run_trains_in_bf16_and_its_parts_fit_into_its_peak(row, train):
    record = train(row)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    assert record.provenance.precision == ("bf16" if bf16 else "fp32")
    memory = record.memory
    assert memory.train_peak_allocated_bytes >= memory.weights_bytes + memory.activations_bytes
    assert memory.train_peak_reserved_bytes >= memory.train_peak_allocated_bytes
    assert memory.evaluation_peak_allocated_bytes >= memory.weights_bytes


class WarnOfWaiting(TrainerCallback):
    """Make torch warn whenever the host waits for the device, except in logging, evaluating and saving."""

    def on_step_begin(self, args, state, control, **kwargs):
        torch.cuda.set_sync_debug_mode("warn" if state.global_step else "default")  # the first step allocates

    def on_step_end(self, args, state, control, **kwargs):
        if control.should_log or control.should_evaluate or control.should_save:
            torch.cuda.set_sync_debug_mode("default")

    on_epoch_end = on_step_end


@pytest.mark.parametrize("row", ROWS)
def test_no_step_waits_for_the_device_but_for_transformers_look_at_the_mask(row, train, monkeypatch):
    original = make_trainer

    def warning(*args, extra=(), **kwargs):
        return original(*args, extra=[*extra, WarnOfWaiting()], **kwargs)

    monkeypatch.setattr(training, "make_trainer", warning)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train(row, "training.logging_steps=100", "training.num_train_epochs=4")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = {Path(w.filename).name for w in caught if "synchronizing CUDA operation" in str(w.message)}
    assert places <= {"masking_utils.py"}  # whether a batch has padding, once per forward pass


def test_compiled_training_gives_the_same_losses(train):
    settings = (NO_DROPOUT, "training.bf16=false", "training.learning_rate=0.01")
    plain = train("lora", *settings, folder="plain")
    compiled = train("lora", *settings, "training.torch_compile=true", folder="compiled")
    for one, other in zip(plain.history, compiled.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-3, rel=1e-3)


@pytest.mark.parametrize("row", ROWS)
def test_a_static_cache_with_compiled_steps_gives_the_same_text(row, build):
    built = build(row)
    model = shake_trainables(built.model).cuda()
    prompts = [row["input_ids"] for row in token_rows([9, 30, 17, 25])]
    texts = [
        generate_tokens(
            model,
            built.tokenizer,
            prompts,
            generation=GenerationConfig(max_new_tokens=12, cache_implementation=cache),
            batch_size=3,
        )
        for cache in ("dynamic", "static")
    ]
    assert texts[0] == texts[1]
