"""The standard Trainer with length-grouped batches, packing, and small checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate.utils import save_fsdp_optimizer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback
from transformers.trainer import SCHEDULER_NAME

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Features
from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.data.packing import can_pack, pack
from hf_peft_compare.data.sampler import SimilarLengthSampler
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.models.heads import Head, head_of
from hf_peft_compare.models.trainable_parameters import load_trainables, save_trainables
from hf_peft_compare.records.parts import HistoryEntry
from hf_peft_compare.training.callbacks import (
    BestState,
    CheckpointMarker,
    FiniteLoss,
    FollowRule,
    MedianStopping,
    MemoryBreakdown,
    TrainableParameters,
    TrainFlops,
)
from hf_peft_compare.training.callbacks.best_state import METRIC
from hf_peft_compare.training.callbacks.phases import TRAIN, PhaseCallback
from hf_peft_compare.training.factory import RunComponents
from hf_peft_compare.training.hidden_state_cache import TrunkStates
from hf_peft_compare.training.preemption import Preemption
from hf_peft_compare.training.run_state import Run

TRAINABLES_FILE = "trainables.safetensors"
RULE_FILE = "training_rule.pt"
C = TypeVar("C", bound=TrainerCallback)


class ComparisonTrainer(Trainer):
    """The standard Trainer except for the order of examples, packing, and checkpoints of trainable parameters only.

    Attributes:
        packs: whether the texts of a micro-batch are packed into one row.
        rule: what the method's training needs beside gradients.
    """

    packs = False
    rule: TrainingRule = TrainingRule()

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Run one micro-batch, packed if the run packs, and measure its FLOPs and activation memory."""
        inputs = pack(inputs) if self.packs else inputs
        # torch.compile permanently falls back to eager for code that it first meets under a FLOP counter.
        compiled = hasattr(model, "_orig_mod")
        flops = nullcontext() if compiled else find_callback(self, TrainFlops).watching(inputs)
        with flops, find_callback(self, MemoryBreakdown).watching(model, inputs):
            return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Compute the loss with the term of the rule, whose parts add up to one mean over the effective batch."""
        loss, outputs = super().compute_loss(model, dict(inputs), True, num_items_in_batch)
        if model.training and (term := self.rule.loss_term(_module(self), inputs)) is not None:
            share: Any = 1.0
            if num_items_in_batch is not None:
                share = (inputs["labels"] != -100).sum() / num_items_in_batch * self.accelerator.num_processes
            loss = loss + share * term
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Create the optimizer of the training settings, unless the rule has its own."""
        if self.optimizer is None:
            trained: Any = self.model if model is None else model
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, trained)
            settings = {**settings, "weight_decay": self.args.weight_decay}
            self.optimizer = self.rule.optimizer(trained, kind, settings)
        return super().create_optimizer(model)

    def _get_train_sampler(self, train_dataset: object = None) -> SimilarLengthSampler:
        dataset: Any = train_dataset if train_dataset is not None else self.train_dataset
        chunk_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return SimilarLengthSampler(dataset.lengths, chunk_size=chunk_size, seed=self.args.seed)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the trainable parameters, gathered from every process."""
        path = Path(output_dir or self.args.output_dir or ".") / TRAINABLES_FILE
        save_trainables(_module(self), path, writes=self.args.should_save)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            return super()._save_optimizer_and_scheduler(output_dir)
        # The Trainer would also save the frozen base in every checkpoint.
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            assert self.lr_scheduler is not None
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _save_rng_state(self, output_dir: str) -> None:
        """Save with what each process keeps of its own the losses since the last log, which the Trainer forgets."""
        super()._save_rng_state(output_dir)
        unlogged = {"loss": self._tr_loss.item(), "since": self._globalstep_last_logged}
        self._unlogged_file(output_dir).write_text(json.dumps(unlogged))
        if self.args.should_save and (state := self.rule.state()):
            torch.save(state, Path(output_dir) / RULE_FILE)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is not None and (file := self._unlogged_file(checkpoint)).is_file():
            unlogged = json.loads(file.read_text())
            self._tr_loss += unlogged["loss"]
            self._globalstep_last_logged = unlogged["since"]
        if checkpoint is not None and (file := Path(checkpoint) / RULE_FILE).is_file():
            self.rule.load_state(torch.load(file, map_location=self.args.device, weights_only=True))

    def _unlogged_file(self, checkpoint: str) -> Path:
        return Path(checkpoint) / f"unlogged_{self.args.process_index}.json"

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: object = None) -> None:
        load_trainables(_module(self), Path(resume_from_checkpoint) / TRAINABLES_FILE)


def _module(trainer: Trainer) -> nn.Module:
    assert trainer.model is not None
    return trainer.model


class ExampleDataset(Dataset[Features]):
    """A torch dataset of examples with their lengths, and with the cached states of a frozen trunk if there are any."""

    def __init__(self, rows: Sequence[Features], trunk_states: Sequence[Tensor] | None = None):
        self.rows = rows
        self.trunk_states = trunk_states
        self.lengths = [len(row["input_ids"]) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Features:
        if self.trunk_states is None:
            return self.rows[index]
        return {**self.rows[index], "trunk_states": self.trunk_states[index]}


def make_trainer(
    run: Run,
    built: RunComponents,
    encoded: TokenizedSplits,
    *,
    extra: Sequence[TrainerCallback] = (),
    trunk_states: Mapping[str, TrunkStates] | None = None,
) -> ComparisonTrainer:
    """Build the standard Trainer from a run's model, data and callbacks."""
    states = trunk_states or {}
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    trainer = ComparisonTrainer(
        model=built.model,
        args=built.arguments,
        train_dataset=ExampleDataset(encoded.splits["train"], states.get("train")),
        eval_dataset=ExampleDataset(longest_first(encoded.splits["validation"]), states.get("validation")),
        data_collator=head_of(run.config).collator(built.tokenizer),
        compute_loss_func=head_of(run.config).loss,
        preprocess_logits_for_metrics=partial(_reduce_logits, head_of(run.config)),
        compute_metrics=_nats_per_label,
        callbacks=[
            *([run.energy] if run.energy else []),
            run.clock,
            run.memory,
            run.breakdown,
            TrainFlops(),
            TrainableParameters(),
            FiniteLoss(),
            BestState(run.config.training.early_stopping_patience),
            CheckpointMarker(),
            MedianStopping(run.config.stop_above),
            *extra,
            Preemption(),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # the log is in the record
    if (rule := run.config.method_type.training_rule(run.config.method_settings)) is not None:
        _follow(rule, trainer)
    trainer.packs = _packs(run, built, encoded.splits["train"], keeps_states=bool(states))
    return trainer


def _follow(rule: TrainingRule, trainer: ComparisonTrainer) -> None:
    """Let a training follow a rule, which must not depend on how batches are split, nor change what is drawn later."""
    if trainer.is_fsdp_enabled:
        raise UserError("this method's training needs whole parameters and gradients; run it without FSDP.")
    trainer.rule = rule
    trainer.add_callback(FollowRule(rule))
    sampler, examples = trainer._get_train_sampler(), cast(ExampleDataset, trainer.train_dataset)
    batches = DataLoader(examples, sampler.chunk_size, sampler=sampler, collate_fn=trainer.data_collator)
    measuring = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, PhaseCallback)]
    for callback in measuring:
        callback.enter(TRAIN)  # what a method computes before its first step is a part of its price
    with torch.random.fork_rng():
        rule.prepare(_module(trainer), batches)
    for callback in measuring:
        callback.enter(None)


def _packs(run: Run, built: RunComponents, rows: Sequence[Features], *, keeps_states: bool) -> bool:
    """Return whether micro-batches are packed as configured; if packing is impossible, add a note with the reason."""
    if not run.config.training.packing:
        return False
    some = [rows[i] for i in range(min(2, len(rows)))]
    if not head_of(run.config).generates:
        reason = "a class head reads one text per row"
    elif head_of(run.config).reads_apart:
        reason = "an encoder-decoder reads one prompt per row, and writes one completion"
    elif run.config.max_text_length < run.config.max_length:
        reason = "virtual tokens precede each of them"
    elif keeps_states:
        reason = "the states of the frozen trunk are cached"
    elif not can_pack(built.model, some, pad_token_id=built.tokenizer.pad_token_id):
        reason = "this architecture cannot separate texts within one row"
    else:
        return True
    run.note(f"Texts were not packed: {reason}.")
    return False


def longest_first(rows: Sequence[Features]) -> list[Features]:
    return sorted(rows, key=lambda row: -len(row["input_ids"]))


def _reduce_logits(head: Head, logits: Any, labels: Tensor) -> Tensor:
    """Reduce a batch's logits to nats and number of labels [B, 2], so that the logits are not accumulated."""
    logits = logits[0] if isinstance(logits, tuple) else logits
    return torch.stack(head.nll(logits, labels), dim=1)


def _nats_per_label(prediction: EvalPrediction) -> dict[str, float]:
    """Return the mean loss over all tokens or classes; unlike the Trainer's, padding and batches do not affect it."""
    nats, num_labels = prediction.predictions.astype("float64").sum(axis=0)  # type: ignore[union-attr]
    return {"nats_per_label": float(nats / num_labels)}


def find_callback(trainer: Trainer, kind: type[C]) -> C:
    return next(c for c in trainer.callback_handler.callbacks if isinstance(c, kind))


def history(log_history: Sequence[Mapping[str, Any]]) -> list[HistoryEntry]:
    """Return the loss curves of a Trainer's log, without entries that depend on wall-clock time."""
    names = {
        "step": "step",
        "epoch": "epoch",
        "loss": "loss",
        "learning_rate": "learning_rate",
        "grad_norm": "grad_norm",
        METRIC: "eval_loss",
    }
    kept = (HistoryEntry(**{new: entry[old] for old, new in names.items() if old in entry}) for entry in log_history)
    return [entry for entry in kept if entry.loss is not None or entry.eval_loss is not None]
