"""The test split of a run: its loss, the predictions and their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import transformers

from hf_peft_compare.core.task import Example
from hf_peft_compare.data.tokenization import Encoded
from hf_peft_compare.evaluation.generation import decode, generate_tokens
from hf_peft_compare.evaluation.inference_costs import Measuring, measure_costs
from hf_peft_compare.evaluation.scoring import likeliest, score_classes, score_completions, score_texts
from hf_peft_compare.models.trainable_parameters import (
    count_parameters,
)
from hf_peft_compare.records import provenance
from hf_peft_compare.records.run_folder import (
    MODEL_FOLDER,
)
from hf_peft_compare.training.callbacks import (
    ProgressFile,
    WallClock,
)
from hf_peft_compare.training.callbacks.phases import EVALUATION
from hf_peft_compare.training.factory import RunComponents
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.trainer import EncodedExamples


def evaluate_run(
    run: Run, built: RunComponents, encoded: Encoded, examples: Sequence[Example], progress: ProgressFile
) -> list[dict[str, Any]]:
    """Score the test split: the loss of the references, and what the model writes, or which class it tells."""
    run.measured["parameters"] = count_parameters(built.model)
    run.memory.enter(EVALUATION)
    with run.clock.measure(EVALUATION):
        predict = _write if run.head.generates else _classify
        texts, losses = predict(run, built, encoded, progress)
    run.memory.enter(None)
    progress.say("scoring")
    predictions = score_predictions(run, examples, texts, losses=losses, read=encoded.form.read)
    if run.config.costs:
        progress.say("costs")
        run.measured["resident_peak_bytes"] = provenance.resident_peak_bytes()  # before a second model may be loaded
        run.measured["costs"] = measure_costs(
            Measuring(
                run.config,
                built.model,
                built.tokenizer,
                encoded,
                losses,
                run.folder / MODEL_FOLDER,
                cache=run.study_folder,
            )
        )
    return predictions


def _classify(
    run: Run, built: RunComponents, encoded: Encoded, progress: ProgressFile
) -> tuple[list[str], list[tuple[float, int]]]:
    """Give the likeliest class of each test example, and the loss of its own."""
    progress.say("classifying")
    collate, batch_size = run.head.collator(built.tokenizer), run.config.training.eval_batch_size
    rows: Any = EncodedExamples(encoded.splits["test"], run.test_states)
    scored = score_classes(built.model, rows, collate=collate, batch_size=batch_size)
    names = encoded.form.labels or built.model.config.id2label
    return [names[predicted] for _, _, predicted in scored], [(nats, known) for nats, known, _ in scored]


def _write(
    run: Run, built: RunComponents, encoded: Encoded, progress: ProgressFile
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


def score_predictions(
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
