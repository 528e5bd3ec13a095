"""A soft prompt in the stock Trainer: it learns, is saved, resumed and restored."""

import pytest
import torch
from soft_prompts import ROWS, fresh_prompt, logits
from tiny import tiny_model
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_peft_compare import PromptTuningModel
from hf_peft_compare.data.collators import CompletionCollator
from hf_peft_compare.models.trainable_parameters import hash_tensors


class Losses(TrainerCallback):
    """Keep every logged training loss."""

    def __init__(self):
        self.losses = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def stock_trainer(model, folder, **arguments):
    """transformers' own Trainer with our collator; the rows as a plain list."""
    settings = {"max_steps": 4, "per_device_train_batch_size": 8, "learning_rate": 0.5, "logging_steps": 1}
    arguments = TrainingArguments(
        str(folder),
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
        seed=0,
        label_names=["labels"],
        **settings | arguments,
    )
    losses = Losses()
    trainer = Trainer(
        model,
        arguments,
        train_dataset=ROWS,
        eval_dataset=ROWS[:4],
        callbacks=[losses],
        data_collator=CompletionCollator(pad_token_id=0),
    )
    return trainer, losses


def test_it_trains_in_the_stock_trainer(model, tmp_path):
    frozen = hash_tensors(dict(model.base.named_parameters()))
    before = model.prompt_embeddings.detach().clone()
    trainer, losses = stock_trainer(model, tmp_path, max_steps=8)
    trainer.train()
    assert losses.losses[-1] < losses.losses[0]
    assert not torch.equal(model.prompt_embeddings, before)
    assert hash_tensors(dict(model.base.named_parameters())) == frozen
    assert trainer.evaluate()["eval_loss"] > 0


def test_the_stock_trainer_saves_what_we_load(model, tmp_path):
    trainer, _ = stock_trainer(model, tmp_path / "out")
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    loaded = PromptTuningModel.from_pretrained(tiny_model(model.config.model_type), tmp_path / "saved").eval()
    torch.testing.assert_close(logits(loaded), logits(model.eval()))


def test_accumulation_in_the_stock_trainer_changes_no_loss(tmp_path):
    curves = []
    for size, steps in ((8, 1), (2, 4)):
        model = PromptTuningModel(tiny_model("llama"), fresh_prompt())  # Llama has no dropout
        trainer, losses = stock_trainer(
            model, tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=steps
        )
        trainer.train()
        curves.append(losses.losses)
    assert len(curves[0]) == 4
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)  # the Trainer rounds what it logs to four digits


def test_the_stock_trainer_resumes_from_its_checkpoint(tmp_path):
    def trained(resume):
        model = PromptTuningModel(tiny_model("llama"), fresh_prompt(seed=3 if resume else 0))
        trainer, _ = stock_trainer(model, tmp_path, save_strategy="steps", save_steps=2)
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2") if resume else None)
        return model.prompt_embeddings

    assert torch.equal(trained(resume=False), trained(resume=True))


def test_the_stock_trainer_restores_its_best_checkpoint(tmp_path):
    model = PromptTuningModel(tiny_model("llama"), fresh_prompt())
    steps = {"save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1}
    # Training lowers the loss; where the greatest is called the best, that is the first checkpoint.
    trainer, _ = stock_trainer(
        model, tmp_path, load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=True, **steps
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[0] > losses[-1]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[0], abs=1e-5)
