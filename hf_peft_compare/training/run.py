"""One run, from its config to its record: the only training path, and it knows no method's name."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import transformers
from accelerate.utils import save_fsdp_optimizer
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import SCHEDULER_NAME, TRAINER_STATE_NAME

from hf_peft_compare import data, provenance, trunk_cache
from hf_peft_compare.batches import SimilarLengthSampler, count_visited_tokens
from hf_peft_compare.callbacks import (
    BestState,
    CheckpointMarker,
    FiniteLoss,
    Hopeless,
    MemoryBreakdown,
    PeakCudaMemory,
    ProgressFile,
    TrainableParameters,
    TrainFlops,
    WallClock,
    WandbSink,
)
from hf_peft_compare.callbacks.best_state import BEST_FILE, METRIC
from hf_peft_compare.callbacks.checkpoints import latest_checkpoint
from hf_peft_compare.callbacks.phases import EVALUATION, LOAD, SAVE, TRAIN
from hf_peft_compare.config import RunConfig
from hf_peft_compare.costs import Measuring, measure_costs
from hf_peft_compare.entries import Example, Metric, Score, get_metric, get_task
from hf_peft_compare.errors import RunFailed, UserError
from hf_peft_compare.evaluation import (
    decode,
    generate_tokens,
    likeliest,
    score_classes,
    score_completions,
    score_texts,
)
from hf_peft_compare.factory import Built, build, use_bf16
from hf_peft_compare.formats import format_of
from hf_peft_compare.heads import Head, OfRun
from hf_peft_compare.packing import can_pack, pack
from hf_peft_compare.planning.estimates import times
from hf_peft_compare.processes import asks_for_sharding, process_state
from hf_peft_compare.records import (
    CHECKPOINTS_FOLDER,
    MODEL_FOLDER,
    TRUNK_CACHE_FOLDER,
    RunRecord,
    folder_of_study,
    identity,
    write_predictions,
    write_record,
)
from hf_peft_compare.sharding import is_sharded, shard
from hf_peft_compare.tokenised import TOKEN_CACHE_FOLDER, Encoded, encode
from hf_peft_compare.trainables import count_parameters, hash_trainables, load_trainables, save_trainables
from hf_peft_compare.trunk import find_trunk
from hf_peft_compare.trunk_cache import TrunkCache, TrunkStates

TRAINABLES_FILE = "trainables.safetensors"

C = TypeVar("C", bound=TrainerCallback)


class ComparisonTrainer(Trainer):
    """The standard Trainer, but for the order of examples, packing, and checkpoints of what is trained alone."""

    packs = False

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Take one micro-batch, packed if the run packs, and see what it computes and keeps in memory."""
        inputs = pack(inputs) if self.packs else inputs
        # torch.compile gives up for good on what it meets under a counter of operations.
        compiled = hasattr(model, "_orig_mod")
        flops = nullcontext() if compiled else _callback(self, TrainFlops).watching(inputs)
        with flops, _callback(self, MemoryBreakdown).watching(model, inputs):
            return super().training_step(model, inputs, num_items_in_batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengthSampler:
        dataset: Any = train_dataset if train_dataset is not None else self.train_dataset
        chunk_size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return SimilarLengthSampler(dataset.lengths, chunk_size=chunk_size, seed=self.args.seed)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save what is trained, the parts of it from every process."""
        path = Path(output_dir or self.args.output_dir or ".") / TRAINABLES_FILE
        save_trainables(_module(self), path, writes=self.args.should_save)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            return super()._save_optimizer_and_scheduler(output_dir)
        # The Trainer would save the frozen base beside them, in every checkpoint.
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            assert self.lr_scheduler is not None
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_trainables(_module(self), Path(resume_from_checkpoint) / TRAINABLES_FILE)


def _module(trainer: Trainer) -> nn.Module:
    assert trainer.model is not None
    return trainer.model


class EncodedExamples(Dataset[dict[str, Any]]):
    """Encoded examples as a torch dataset that knows its lengths, and the states of a frozen trunk if it has them."""

    def __init__(self, rows: Sequence[dict[str, Any]], trunk_states: Sequence[Tensor] | None = None):
        self.rows = rows
        self.trunk_states = trunk_states
        self.lengths = [len(row["input_ids"]) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.trunk_states is None:
            return self.rows[index]
        return {**self.rows[index], "trunk_states": self.trunk_states[index]}


@dataclass
class Run(OfRun):
    """The state of a run on its way to a record."""

    config: RunConfig
    origins: Mapping[str, str]
    folder: Path
    plan: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] | None = None
    clock: WallClock = field(default_factory=WallClock)
    memory: PeakCudaMemory = field(default_factory=PeakCudaMemory)
    breakdown: MemoryBreakdown = field(default_factory=MemoryBreakdown)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    test_states: TrunkStates | None = None

    @property
    def study_folder(self) -> Path:
        """The folder of the study, whose caches its runs and trials share."""
        return folder_of_study(self.folder, trial=self.config.trial)

    @property
    def checkpoints(self) -> Path:
        """Where the Trainer's checkpoints and the best state stand until the run is finished."""
        return self.folder / CHECKPOINTS_FOLDER

    def note(self, *notes: str) -> None:
        """Add notes to the record, each once however often the model is built."""
        self.notes += [note for note in notes if note not in self.notes]


def train_run(
    config: RunConfig,
    origins: Mapping[str, str],
    *,
    folder: Path,
    plan: Mapping[str, Any] | None = None,
    tuning: Mapping[str, Any] | None = None,
) -> RunRecord:
    """Train and evaluate one run, from its last checkpoint if there is one, and write its record.

    A trial of tuning is not evaluated: no test example is looked at before all settings are chosen.

    Args:
        config: the resolved run.
        origins: the layer that set each dotted key.
        folder: the run's own folder.
        plan: what it was estimated to take, for the record.
        tuning: how its settings were found, for the record.

    Raises:
        UserError: bad input; nothing is written.
        RunFailed: anything else; the record holds the error.
    """
    run = Run(config=config, origins=origins, folder=folder, plan=plan, tuning=tuning)
    main_process = process_state().is_main_process
    progress = ProgressFile(folder if main_process else None)
    sink = WandbSink(config=config, folder=folder)
    try:
        with run.clock.measure(LOAD):
            examples = data.load_examples(config)
        folder.mkdir(parents=True, exist_ok=True)
        progress.say("loading")
        sink.start()
        predictions = _execute(run, examples, progress, sink)
        run.notes += sink.notes
        record = _record(run, status="finished", error=None)
        if main_process:
            write_predictions(predictions, folder)
            write_record(record, folder)
            shutil.rmtree(run.checkpoints, ignore_errors=True)
        sink.finish(record, predictions)
        sink.close()
        return record
    except UserError:
        raise
    except Exception as error:
        record = _record(run, status="failed", error=f"{type(error).__name__}: {error}")
        if main_process:
            write_record(record, folder)
        sink.finish(record, [])
        raise RunFailed(f"run {config.study}/{config.run} failed: {record.error}") from error
    finally:
        sink.close(exit_code=1)
        progress.say("done")


def _execute(
    run: Run, examples: dict[str, list[Example]], progress: ProgressFile, sink: WandbSink
) -> list[dict[str, Any]]:
    """Adapt the model, score the test split, save what was tuned; give one prediction per test example."""
    run.measured["provenance"] = provenance.collect(
        precision="bf16" if use_bf16(run.config) else "fp32", num_processes=process_state().num_processes
    ) | {"data_fingerprint": data.fingerprint(examples)}
    form = format_of(run.config, examples["train"])
    told = {"groups": data.count_groups(examples), "labels": list(form.labels)}
    run.measured["provenance"] |= {key: value for key, value in told.items() if value}
    run.metrics = [get_metric(name) for name in (*get_task(run.config.task["name"]).metrics, *form.metrics)]
    run.measured["scores"] = _scores(run)
    if run.method.predict is not None:
        predict = run.method.predict(run.config.method_settings, examples["train"])
        return _predictions(run, examples["test"], [predict(example.source) for example in examples["test"]])
    built, encoded = _adapt(run, examples, progress, sink)
    if run.config.trial is not None:
        return []
    if run.method.save is not None:
        with run.clock.measure(SAVE):
            if process_state().is_main_process:
                run.method.save(_unsharded(run, built), run.folder / MODEL_FOLDER)
    return _evaluate(run, built, encoded, examples["test"], progress)


def _unsharded(run: Run, built: Built) -> Any:
    """Give the trained model, built anew on the host where its parameters are spread over the processes."""
    if not is_sharded(built.model):
        return built.model
    model = build(run.config, output_dir=run.checkpoints).model
    load_trainables(model, run.checkpoints / BEST_FILE)
    return model


def _adapt(
    run: Run, examples: dict[str, list[Example]], progress: ProgressFile, sink: WandbSink
) -> tuple[Built, Encoded]:
    """Build and train the run's model; when CUDA runs out of memory, again with half the micro-batch."""
    divisor = 1
    while True:
        with run.clock.measure(LOAD):
            built = build(run.config, output_dir=run.checkpoints, micro_batch_divisor=divisor)
            encoded = encode(run.config, examples, built.tokenizer, cache=run.study_folder / TOKEN_CACHE_FOLDER)
            run.note(*encoded.notes)
            _place(run, built)
        try:
            if run.method.trains:
                _train(run, built, encoded, progress, sink)
            return built, encoded
        except torch.OutOfMemoryError:
            size = built.arguments.per_device_train_batch_size
            if size % 2 or process_state().num_processes > 1:
                raise
        # Only out here, without the exception, has nothing hold of the frames that hold the model.
        divisor *= 2
        run.notes.append(
            f"CUDA ran out of memory with a micro-batch of {size}; went on with {size // 2} and twice the "
            f"accumulation steps, at the same effective batch."
        )
        run.memory.forget()
        run.breakdown.forget()
        del built, encoded
        gc.collect()
        torch.cuda.empty_cache()


def _place(run: Run, built: Built) -> None:
    """Put the model on this process's device, or its part of it; the Trainer spreads one that is trained."""
    if not asks_for_sharding():
        built.model.to(built.arguments.device)
        return
    run.note(f"Parameters were spread over {process_state().num_processes} processes (FSDP).")
    if not run.method.trains:
        shard(built.model)
    elif built.arguments.bf16:
        run.note("Spread parameters are gathered in bf16, so the test split was scored in bf16 too.")


def _train(run: Run, built: Built, encoded: Encoded, progress: ProgressFile, sink: WandbSink) -> None:
    """Train with the standard Trainer, from the last whole checkpoint if there is one, and restore the best state."""
    forward = built.model.forward
    checkpoint = latest_checkpoint(run.checkpoints)
    trained = checkpoint is not None and _is_trained(checkpoint, run.config)
    states = {} if trained else kept_trunk_states(run, built, encoded)
    trainer = make_trainer(run, built, encoded, extra=[progress, sink], trunk_states=states)
    if checkpoint is not None and trained:
        trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        trainer._load_callback_state()
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # Callbacks that a checkpoint brought stand in the place of those that were passed in.
    run.clock, run.memory = _callback(trainer, WallClock), _callback(trainer, PeakCudaMemory)
    run.breakdown = _callback(trainer, MemoryBreakdown)
    best = _callback(trainer, BestState)
    built.model.forward = forward  # the Trainer leaves it in autocast under bf16; the test split is scored in float32
    process_state().wait_for_everyone()  # the first process may still be writing the best state
    with run.clock.measure(LOAD):
        load_trainables(built.model, best.path)
    run.measured |= {
        "initial_trainables_sha256": _callback(trainer, TrainableParameters).initial_sha256,
        "final_trainables_sha256": hash_trainables(built.model),
        "validation": {"best_loss": best.best_loss, "best_step": best.best_step, "best_epoch": best.best_epoch},
        "history": history(trainer.state.log_history),
        "num_train_tokens": count_visited_tokens(trainer._get_train_sampler(), num_steps=trainer.state.global_step),
        "train_flops": times(_callback(trainer, TrainFlops).result(), process_state().num_processes),
    }


def kept_trunk_states(run: Run, built: Built, encoded: Encoded) -> dict[str, TrunkStates]:
    """Give the frozen trunk's states of the train and validation examples where a cache of them pays; else nothing."""
    trunk = find_trunk(built.model)
    splits = {"train": encoded.splits["train"], "validation": _longest_first(encoded.splits["validation"])}
    if trunk is not None and trunk.embeds:
        if run.config.trial is None:  # small, and read by every run that has the same encoders
            splits["test"] = encoded.splits["test"]
        run.note(*trunk.notes)
    on_cpu = built.arguments.device.type == "cpu"
    if trunk is None or asks_for_sharding():
        return {}
    if not trunk_cache.pays(run.config, trunk=trunk, num_train=len(splits["train"]), on_cpu=on_cpu):
        return {}
    cache = TrunkCache(
        root=run.study_folder / TRUNK_CACHE_FOLDER,
        trunk=trunk,
        collate=run.head.collator(built.tokenizer),
        bf16=built.arguments.bf16 and not trunk.embeds,
        batch_size=built.arguments.per_device_eval_batch_size,
        filled_by=run.config.run,
        max_bytes=run.config.training.trunk_cache_max_bytes,
    )
    if not cache.fits(list(splits.values())):
        run.note("The frozen trunk's states are larger than training.trunk_cache_max_bytes: computed anew.")
        return {}
    with run.clock.measure(TRAIN):
        agrees = trunk.embeds or cache.agrees(built.model, splits["train"][0])
    if not agrees:
        run.note("This architecture cannot be entered above its frozen trunk, which is computed in each pass.")
        return {}
    phases = {"train": TRAIN, "validation": EVALUATION, "test": EVALUATION}
    states = {}
    for name, rows in splits.items():
        with run.clock.measure(phases[name]):
            states[name] = cache.states(rows)
    run.measured["trunk_cache"] = trunk_cache.describe(states.values())
    run.test_states = states.pop("test", None)
    return states


def make_trainer(
    run: Run,
    built: Built,
    encoded: Encoded,
    *,
    extra: Sequence[TrainerCallback] = (),
    trunk_states: Mapping[str, TrunkStates] | None = None,
) -> ComparisonTrainer:
    """Put the standard Trainer around a run's model, data and callbacks."""
    states = trunk_states or {}
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    trainer = ComparisonTrainer(
        model=built.model,
        args=built.arguments,
        train_dataset=EncodedExamples(encoded.splits["train"], states.get("train")),
        eval_dataset=EncodedExamples(_longest_first(encoded.splits["validation"]), states.get("validation")),
        data_collator=run.head.collator(built.tokenizer),
        compute_loss_func=run.head.loss,
        preprocess_logits_for_metrics=partial(_reduce_logits, run.head),
        compute_metrics=_nats_per_label,
        callbacks=[
            run.clock,
            run.memory,
            run.breakdown,
            TrainFlops(),
            TrainableParameters(),
            FiniteLoss(),
            BestState(str(run.checkpoints), run.config.training.early_stopping_patience),
            CheckpointMarker(),
            Hopeless(run.config.stop_above),
            *extra,
        ],
    )
    trainer.remove_callback(PrinterCallback)  # the log is in the record
    trainer.packs = _packs(run, built, encoded.splits["train"], keeps_states=bool(states))
    return trainer


def _packs(run: Run, built: Built, rows: Sequence[dict[str, Any]], *, keeps_states: bool) -> bool:
    """Whether micro-batches are packed, as the run asks for; where they cannot be, a note says why."""
    if not run.config.training.packing:
        return False
    some = [rows[i] for i in range(min(2, len(rows)))]
    if not run.head.generates:
        reason = "a class head reads one text of each row"
    elif run.config.max_text_length < run.config.max_length:
        reason = "virtual tokens stand before each of them"
    elif keeps_states:
        reason = "the states of the frozen trunk are kept"
    elif not can_pack(built.model, some, pad_token_id=built.tokenizer.pad_token_id):
        reason = "this architecture does not tell them apart in one row"
    else:
        return True
    run.note(f"Texts were not packed: {reason}.")
    return False


def _longest_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -len(row["input_ids"]))


def _reduce_logits(head: Head, logits: Any, labels: Tensor) -> Tensor:
    """Reduce a batch's logits to nats and number of labels [B, 2], so that no one keeps them."""
    logits = logits[0] if isinstance(logits, tuple) else logits
    return torch.stack(head.nll(logits, labels), dim=1)


def _nats_per_label(prediction: EvalPrediction) -> dict[str, float]:
    """Give the loss over all labels, tokens or classes: padding and batches do not weigh in it as in the Trainer's."""
    nats, num_labels = prediction.predictions.astype("float64").sum(axis=0)  # type: ignore[union-attr]
    return {"nats_per_label": float(nats / num_labels)}


def _is_trained(checkpoint: Path, config: RunConfig) -> bool:
    """Whether training had ended, early or not, when this checkpoint was written."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    best = BestState("", config.training.early_stopping_patience)
    best.__dict__.update(state.stateful_callbacks[BestState.__name__]["attributes"])
    return best.out_of_patience or state.global_step >= state.max_steps


def _callback(trainer: Trainer, kind: type[C]) -> C:
    return next(c for c in trainer.callback_handler.callbacks if isinstance(c, kind))


def history(log_history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Keep the loss curves of a Trainer's log, without what depends on the clock."""
    names = {
        "step": "step",
        "epoch": "epoch",
        "loss": "loss",
        "learning_rate": "learning_rate",
        "grad_norm": "grad_norm",
        METRIC: "eval_loss",
    }
    kept = ({new: entry[old] for old, new in names.items() if old in entry} for entry in log_history)
    return [entry for entry in kept if "loss" in entry or "eval_loss" in entry]


def _evaluate(
    run: Run, built: Built, encoded: Encoded, examples: Sequence[Example], progress: ProgressFile
) -> list[dict[str, Any]]:
    """Score the test split: the loss of the references, and what the model writes, or which class it tells."""
    run.measured["parameters"] = count_parameters(built.model)
    run.memory.enter(EVALUATION)
    with run.clock.measure(EVALUATION):
        predict = _write if run.head.generates else _classify
        texts, losses = predict(run, built, encoded, progress)
    run.memory.enter(None)
    progress.say("scoring")
    predictions = _predictions(run, examples, texts, losses=losses, read=encoded.form.read)
    if run.config.costs:
        progress.say("costs")
        run.measured["resident_peak_bytes"] = provenance.resident_peak_bytes()  # before a second model may be loaded
        run.measured["costs"] = measure_costs(
            Measuring(run.config, built, encoded, losses, run.folder / MODEL_FOLDER, cache=run.study_folder)
        )
    return predictions


def _classify(
    run: Run, built: Built, encoded: Encoded, progress: ProgressFile
) -> tuple[list[str], list[tuple[float, int]]]:
    """Give the likeliest class of each test example, and the loss of its own."""
    progress.say("classifying")
    collate, batch_size = run.head.collator(built.tokenizer), run.config.training.eval_batch_size
    rows: Any = EncodedExamples(encoded.splits["test"], run.test_states)
    scored = score_classes(built.model, rows, collate=collate, batch_size=batch_size)
    names = encoded.form.labels or built.model.config.id2label
    return [names[predicted] for _, _, predicted in scored], [(nats, known) for nats, known, _ in scored]


def _write(
    run: Run, built: Built, encoded: Encoded, progress: ProgressFile
) -> tuple[list[str], list[tuple[float, int]]]:
    """Give what is generated from each prompt alone, or its likeliest candidate, and the loss of the reference."""
    batch_size = run.config.training.eval_batch_size
    score = partial(score_completions, built.model, pad_token_id=built.tokenizer.pad_token_id, batch_size=batch_size)
    progress.say("test loss")
    losses = score(encoded.splits["test"])
    if candidates := encoded.form.candidates:
        progress.say("scoring answers")
        return [candidates[i] for i in likeliest(score(encoded.candidates), len(candidates))], losses
    progress.say("generating")
    transformers.set_seed(run.config.seed)  # tokens that are drawn do not depend on what training drew
    seconds_before = _seconds(run.clock, EVALUATION)
    tokens = generate_tokens(
        built.model, built.tokenizer, encoded.prompts, generation=run.config.generation, batch_size=batch_size
    )
    run.measured["generation_seconds"] = _seconds(run.clock, EVALUATION) - seconds_before
    run.measured["num_generated_tokens"] = sum(map(len, tokens))
    run.measured["num_prompt_tokens"] = sum(map(len, encoded.prompts))
    return decode(built.tokenizer, tokens), losses


def _seconds(clock: WallClock, phase: str) -> float:
    clock.enter(phase)
    return clock.seconds[phase]


def _predictions(
    run: Run,
    examples: Sequence[Example],
    texts: Sequence[str],
    *,
    losses: Sequence[tuple[float, int]] | None = None,
    read: Callable[[str], str] | None = None,
) -> list[dict[str, Any]]:
    """Score the texts, or what they are read as; note the means in the run; give one row per example."""
    answers = [read(text) for text in texts] if read else texts
    scores = score_texts(answers, [example.reference for example in examples], run.metrics)
    run.measured["results"] = {name: sum(values) / len(values) for name, values in scores.items()}
    if losses is not None:
        nats, num_tokens = (sum(column) for column in zip(*losses, strict=True))
        run.measured["results"]["test_loss"] = nats / num_tokens
    return [
        {
            **{name: value for name, value in asdict(example).items() if value is not None},
            "prediction": text,
            **({"answer": answers[i]} if read else {}),
            "scores": {name: values[i] for name, values in scores.items()},
            "nll": losses[i][0] if losses is not None else None,
            "num_tokens": losses[i][1] if losses is not None else None,
        }
        for i, (example, text) in enumerate(zip(examples, texts, strict=True))
    ]


def _scores(run: Run) -> dict[str, dict[str, Any]]:
    """Describe every score of the run's task, the ranking one first."""
    scores = [score for metric in run.metrics for score in metric.scores]
    test_loss = Score(name="test_loss", title="Test loss", unit=run.head.loss_unit, greater_is_better=False)
    return {s.name: {k: v for k, v in asdict(s).items() if k != "name" and v != ""} for s in [*scores, test_loss]}


def _record(run: Run, *, status: str, error: str | None) -> RunRecord:
    measured = run.measured
    return RunRecord(
        status=status,
        error=error,
        **identity(run.config, run.origins),
        scores=measured.get("scores", {}),
        parameters=measured.get("parameters"),
        initial_trainables_sha256=measured.get("initial_trainables_sha256"),
        final_trainables_sha256=measured.get("final_trainables_sha256"),
        results=measured.get("results", {}),
        validation=measured.get("validation"),
        seconds=dict(run.clock.seconds),
        memory={
            **run.memory.results(),
            "resident_peak_bytes": measured.get("resident_peak_bytes") or provenance.resident_peak_bytes(),
            **run.breakdown.results(),
        },
        trunk_cache=measured.get("trunk_cache"),
        tuning=None if run.tuning is None else dict(run.tuning),
        plan=None if run.plan is None else dict(run.plan),
        throughput=_throughput(run),
        costs=measured.get("costs", {}),
        history=measured.get("history", []),
        notes=list(run.notes),
        provenance=measured.get("provenance", {}),
    )


def _throughput(run: Run) -> dict[str, float | None]:
    trained, generated = run.measured.get("num_train_tokens"), run.measured.get("num_generated_tokens")
    return {
        "num_train_tokens": trained,
        "train_tokens_per_second": _rate(trained, run.clock.seconds["train"]),
        "train_flops": run.measured.get("train_flops"),
        "num_prompt_tokens": run.measured.get("num_prompt_tokens"),
        "num_generated_tokens": generated,
        "generated_tokens_per_second": _rate(generated, run.measured.get("generation_seconds")),
    }


def _rate(amount: float | None, seconds: float | None) -> float | None:
    return amount / seconds if amount and seconds else None
