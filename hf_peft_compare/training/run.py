"""One run, from its config to its record: the only training path, the same for every method."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from hf_peft_compare.config.identity import identity_of, read_identity
from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.core.method import Floor
from hf_peft_compare.core.registry import get_metric
from hf_peft_compare.core.task import Example
from hf_peft_compare.data import splits as data
from hf_peft_compare.data.checks import count_test_in_train
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.rendering import render_input
from hf_peft_compare.data.sampler import count_visited_tokens
from hf_peft_compare.data.tokenization import TOKEN_CACHE_FOLDER, TokenizedSplits, tokenize_splits
from hf_peft_compare.evaluation.prediction import Prediction
from hf_peft_compare.models.heads import class_names
from hf_peft_compare.models.trainable_parameters import count_parameters, hash_trainables, load_trainables
from hf_peft_compare.records import provenance
from hf_peft_compare.records.parts import Parameters
from hf_peft_compare.records.plan import RunPlan
from hf_peft_compare.records.record import RunRecord, write_record
from hf_peft_compare.records.run_folder import MODEL_FOLDER, write_predictions
from hf_peft_compare.records.tuning import Tuning
from hf_peft_compare.training.arguments import note_on_batch, use_bf16
from hf_peft_compare.training.callbacks import (
    BestState,
    Energy,
    MedianStopping,
    MemoryBreakdown,
    PeakCudaMemory,
    ProgressFile,
    Tracking,
    TrainableParameters,
    TrainFlops,
    WallClock,
)
from hf_peft_compare.training.callbacks.best_state import BEST_FILE
from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint, mend_checkpoints
from hf_peft_compare.training.callbacks.phases import LOAD, SAVE
from hf_peft_compare.training.factory import RunComponents, build
from hf_peft_compare.training.hidden_states import kept_trunk_states
from hf_peft_compare.training.recording import describe_scores, make_record
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.testing import evaluate_run, score_predictions
from hf_peft_compare.training.trainer import find_callback, history, make_trainer
from hf_peft_compare.utils.distributed import asks_for_sharding, process_state
from hf_peft_compare.utils.files import atomic_path, describe_full_disk
from hf_peft_compare.utils.sharding import is_sharded, shard


def train_run(
    config: RunConfig,
    origins: Mapping[str, str],
    *,
    folder: Path,
    plan: RunPlan | None = None,
    tuning: Tuning | None = None,
) -> RunRecord:
    """Train and evaluate one run, resuming from its last checkpoint if there is one, and write its record.

    A tuning trial is not evaluated: no test example is used before all settings are chosen.

    Args:
        config: the resolved run.
        origins: the config layer that set each dotted key.
        folder: the run's own folder.
        plan: the run's estimated cost, for the record.
        tuning: how its settings were found, for the record.

    Raises:
        UserError: invalid input; nothing is written.
        RunFailed: anything else; the record holds the error.
    """
    run = Run(config=config, origins=origins, folder=folder, plan=plan, tuning=tuning)
    main_process = process_state().is_main_process
    progress = ProgressFile(folder if main_process else None)
    tracking = Tracking(config=config, folder=folder)
    try:
        with run.clock.measure(LOAD):
            examples = data.load_examples(config)
        folder.mkdir(parents=True, exist_ok=True)
        progress.update("loading")
        tracking.start()
        predictions = _execute(run, examples, progress, tracking)
        run.notes += tracking.notes
        record = make_record(run)
        if main_process:
            write_predictions(predictions, folder)
            write_record(record, folder)
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        tracking.finish(record, predictions)
        tracking.close()
        return record
    except UserError:
        raise
    except Exception as error:
        full = describe_full_disk(folder, error)
        record = make_record(run, error=f"{type(error).__name__}: {error}{full}")
        if main_process:
            if full:
                mend_checkpoints(run.checkpoints)  # makes room by removing an incomplete one
            with suppress(OSError):  # the process that started this one says so too
                write_record(record, folder)
        tracking.finish(record, [])
        raise RunFailed(f"run {config.study}/{config.run} failed: {record.error}") from error
    finally:
        tracking.close(failed=True)
        progress.update("done")


def _execute(run: Run, examples: data.Examples, progress: ProgressFile, tracking: Tracking) -> list[dict[str, Any]]:
    """Train the model, save its tuned parameters, score the test split; return one prediction per test example."""
    precision = "bf16" if use_bf16(run.config) else "fp32"
    made = provenance.collect(precision=precision, num_processes=process_state().num_processes)
    made = replace(made, data_fingerprint=data.fingerprint(examples), groups=data.count_groups(examples))
    made = replace(made, split_sources=examples.sources, num_examples={k: len(v) for k, v in examples.items()})
    made = replace(made, num_test_in_train=count_test_in_train(examples))
    made = replace(made, inputs=identity_of(run.config, read_identity(run.folder)).inputs)
    made = replace(made, train_labels=examples.train_labels)
    run.measured.provenance = made
    form = format_of(run.config, examples["train"])
    run.measured.provenance = replace(made, labels=list(form.labels))
    run.metrics = [*run.config.metrics, *map(get_metric, form.metrics)]
    run.measured.scores = describe_scores(run)
    if isinstance(method := run.config.method_type, Floor):
        answers = [Prediction(text=answer) for answer in method.answers(run.config, examples)]
        return score_predictions(run, examples["test"], answers)
    built, encoded = _adapt(run, examples, progress, tracking)
    if run.config.trial is not None:
        return []
    if run.config.method_type.trains:
        with run.clock.measure(SAVE):
            if process_state().is_main_process:
                _save_model(run, _unsharded(run, built))
    return evaluate_run(run, built, encoded, examples["test"], progress)


def _save_model(run: Run, model: Any) -> None:
    folder = run.folder / MODEL_FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was interrupted after training
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        run.config.method_type.save(model, temporary)


def _unsharded(run: Run, built: RunComponents) -> Any:
    """Return the trained model, rebuilt on the host if its parameters are sharded over the processes."""
    if not is_sharded(built.model):
        return built.model
    model = build(run.config, output_dir=run.checkpoints).model
    load_trainables(model, run.checkpoints / BEST_FILE)
    return model


def _adapt(
    run: Run, examples: dict[str, list[Example]], progress: ProgressFile, tracking: Tracking
) -> tuple[RunComponents, TokenizedSplits]:
    """Build and train the run's model; after CUDA out of memory, retry with half the micro-batch."""
    divisor = 1
    while True:
        with run.clock.measure(LOAD):
            built = build(run.config, output_dir=run.checkpoints, micro_batch_divisor=divisor)
            encoded = tokenize_splits(
                run.config, examples, built.tokenizer, cache=run.study_folder / TOKEN_CACHE_FOLDER
            )
            num_train = len(encoded.splits["train"]) if run.config.method_type.trains else None
            run.note(*encoded.notes, *note_on_batch(run.config, num_train))
            run.measured.provenance = replace(
                run.measured.provenance,
                num_dropped=encoded.num_dropped,
                num_cut=encoded.num_cut,
                example_input=_first_input(run, built, encoded),
            )
            _place(run, built)
        try:
            if run.config.method_type.trains:
                _train(run, built, encoded, progress, tracking)
            else:
                run.measured.parameters = Parameters(**count_parameters(built.model))
            return built, encoded
        except torch.OutOfMemoryError:
            size = built.arguments.per_device_train_batch_size
            if size % 2 or process_state().num_processes > 1:
                raise
        # Out of the except block, since the exception's traceback references the frames that hold the model.
        divisor *= 2
        run.notes.append(
            f"CUDA ran out of memory with a micro-batch of {size}; continued with {size // 2} and twice the "
            f"accumulation steps, at the same effective batch."
        )
        run.memory.forget()
        run.breakdown.forget()
        if run.energy is not None:
            run.energy.enter(None)
        del built, encoded
        gc.collect()
        torch.cuda.empty_cache()


def _first_input(run: Run, built: RunComponents, encoded: TokenizedSplits) -> dict[str, str]:
    """Return the first example as the model reads it."""
    rows = encoded.splits.get("train") or encoded.splits["test"]
    labels = encoded.form.labels or class_names(run.config) or ()
    return render_input(rows[0], built.tokenizer, labels, trains=run.config.method_type.trains)


def _place(run: Run, built: RunComponents) -> None:
    """Move the model, or this process's shard of it, to the device; the Trainer shards a model that is trained."""
    drops = any(isinstance(m, torch.nn.Dropout) and m.p > 0 for m in built.model.modules())
    if run.config.method_type.trains and drops and process_state().num_processes > 1:
        run.note("Each process drew dropout of its own, so one process does not give the same losses.")
    if not asks_for_sharding():
        built.model.to(built.arguments.device)
        return
    run.note(f"Parameters were sharded over {process_state().num_processes} processes (FSDP).")
    if not run.config.method_type.trains:
        shard(built.model)
    elif built.arguments.bf16:
        run.note("Sharded parameters are gathered in bf16, so the test split was scored in bf16 too.")


def _train(
    run: Run, built: RunComponents, encoded: TokenizedSplits, progress: ProgressFile, tracking: Tracking
) -> None:
    """Train with the standard Trainer, from the last complete checkpoint if any, and restore the best state."""
    forward = built.model.forward
    if process_state().is_main_process:
        run.note(*mend_checkpoints(run.checkpoints))
    process_state().wait_for_everyone()
    checkpoint = latest_checkpoint(run.checkpoints)
    trained = checkpoint is not None and _is_trained(checkpoint, run.config)
    states = {} if trained else kept_trunk_states(run, built, encoded)
    trainer = make_trainer(run, built, encoded, extra=[progress, tracking, tracking.reporting], trunk_states=states)
    if checkpoint is not None and trained:
        trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        trainer.rule.start(built.model, trainer.state.max_steps)
        trainer._load_callback_state()
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # Callbacks restored from a checkpoint replace those that were passed in.
    run.clock, run.memory = find_callback(trainer, WallClock), find_callback(trainer, PeakCudaMemory)
    run.breakdown = find_callback(trainer, MemoryBreakdown)
    if run.energy is not None:
        run.energy = find_callback(trainer, Energy)
        run.note(run.energy.note())
    best, flops = find_callback(trainer, BestState), find_callback(trainer, TrainFlops).result()
    built.model.forward = forward  # under bf16 the Trainer leaves autocast on; the test split is scored in float32
    process_state().wait_for_everyone()  # the first process may still be writing the best state
    with run.clock.measure(LOAD):
        load_trainables(built.model, run.checkpoints / BEST_FILE)
    measured, steps = run.measured, trainer.state.global_step
    measured.parameters = Parameters(**count_parameters(built.model))  # as trained; a rule may save it otherwise
    if (note := trainer.rule.finish(built.model)) is not None:
        run.note(note)
    measured.initial_trainables_sha256 = find_callback(trainer, TrainableParameters).initial_sha256
    measured.final_trainables_sha256 = hash_trainables(built.model)
    measured.validation = best.result()
    measured.history = history(trainer.state.log_history)
    measured.num_train_tokens = count_visited_tokens(trainer._get_train_sampler(), num_steps=steps)
    measured.train_flops = None if flops is None else flops * process_state().num_processes


def _is_trained(checkpoint: Path, config: RunConfig) -> bool:
    """Return whether training had ended, early or not, when this checkpoint was written."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    best = BestState(config.training.early_stopping_patience)
    best.__dict__.update(state.stateful_callbacks[BestState.__name__]["attributes"])
    pruned = MedianStopping(config.stop_above).stops(state.log_history)
    return best.out_of_patience or pruned or state.global_step >= state.max_steps
