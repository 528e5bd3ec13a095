"""Settings reach the `TrainingArguments`."""

import pytest
import torch

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.training.arguments import note_on_batch


def test_training_settings_reach_the_training_arguments(build):
    arguments = build(
        "lora",
        "training={learning_rate: 0.5, num_train_epochs: 7, weight_decay: 0.2, max_grad_norm: 0.3, warmup_ratio: 0.1, "
        "optim: adafactor, lr_scheduler_type: cosine, eval_batch_size: 5, gradient_accumulation_steps: 4}",
        seed=11,
    ).arguments
    assert arguments.learning_rate == 0.5
    assert arguments.num_train_epochs == 7
    assert arguments.weight_decay == 0.2
    assert arguments.max_grad_norm == 0.3
    assert arguments.get_warmup_steps(100) == 10
    assert (arguments.optim, arguments.lr_scheduler_type) == ("adafactor", "cosine")
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (2, 4)
    assert arguments.per_device_eval_batch_size == 5
    assert (arguments.seed, arguments.data_seed) == (11, 11)


def test_batches_are_put_together_by_other_processes_where_there_is_a_gpu(build):
    cuda = torch.cuda.is_available()
    arguments = build("lora").arguments
    assert arguments.dataloader_num_workers == (2 if cuda else 0)
    assert arguments.dataloader_persistent_workers == arguments.dataloader_pin_memory == cuda
    assert arguments.accelerator_config.non_blocking == cuda
    asked = build("lora", "training.dataloader_num_workers=3").arguments
    assert (asked.dataloader_num_workers, asked.dataloader_persistent_workers) == (3, True)


def test_nothing_is_counted_on_the_device_in_each_step(build):
    assert build("lora").arguments.include_num_input_tokens_seen == "no"


def test_gradients_are_clipped_at_one_in_every_run_of_the_main_study(build):
    study = load_study("gpt2-cnn-dailymail")
    assert {run.training.max_grad_norm for run, _ in study.resolve_all()} == {1.0}
    assert build("lora").arguments.max_grad_norm == 1.0


def test_a_batch_that_is_larger_than_the_train_split_is_noted(tiny_study):
    config, _ = tiny_study("training.train_batch_size=64").resolve(row="lora", seed=0)
    assert note_on_batch(config, 24) == [
        "training.train_batch_size is 64, above the 24 train examples: each step takes them all."
    ]
    assert note_on_batch(config, 64) == note_on_batch(config, None) == []


@pytest.mark.parametrize("accumulation", [3, 16])
def test_an_effective_batch_that_does_not_divide_is_a_user_error(accumulation, build):
    with pytest.raises(UserError, match=f"train_batch_size is 8; it must be divisible by 1 process.* × {accumulation}"):
        build("lora", f"training.gradient_accumulation_steps={accumulation}")
