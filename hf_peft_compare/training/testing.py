"""Evaluation on the test split: the loss, the predictions and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from hf_peft_compare.core.task import Example, Features
from hf_peft_compare.data.tokenization import TokenizedSplits
from hf_peft_compare.evaluation.inference_costs import Measuring, measure_answers, measure_costs
from hf_peft_compare.evaluation.prediction import Prediction, predict
from hf_peft_compare.evaluation.scoring import score_texts
from hf_peft_compare.records import provenance
from hf_peft_compare.records.parts import Costs
from hf_peft_compare.records.run_folder import MODEL_FOLDER
from hf_peft_compare.training.callbacks import ProgressFile, WallClock
from hf_peft_compare.training.callbacks.phases import EVALUATION
from hf_peft_compare.training.factory import RunComponents
from hf_peft_compare.training.run_state import Run
from hf_peft_compare.training.trainer import ExampleDataset

# What measuring the costs of a run may take: this share of the run's own time, or as many seconds if these are more.
COSTS_SHARE, COSTS_SECONDS = 0.1, 60.0


def evaluate_run(
    run: Run, built: RunComponents, encoded: TokenizedSplits, examples: Sequence[Example], progress: ProgressFile
) -> list[dict[str, Any]]:
    """Score the test split: the loss of the references, and the generated texts or predicted classes."""
    run.memory.enter(EVALUATION)
    rows = cast("Sequence[Features]", ExampleDataset(encoded.splits["test"], run.test_states))
    stages = Stages(run.clock, progress)
    with run.clock.measure(EVALUATION):
        predicted = predict(
            built.model,
            built.tokenizer,
            replace(encoded.test, rows=rows),
            run.config,
            batch_size=run.config.training.eval_batch_size,
            with_loss=True,
            on_stage=stages,
        )
    run.memory.enter(None)
    if encoded.prompts:
        run.measured.generation_seconds = stages.seconds["generating"]
        run.measured.num_generated_tokens = sum(prediction.num_tokens for prediction in predicted)
        run.measured.num_prompt_tokens = sum(map(len, encoded.prompts))
    progress.update("scoring")
    predictions = score_predictions(run, examples, predicted)
    if run.config.costs or run.config.lm_eval:
        progress.update("costs")
        run.measured.resident_peak_bytes = provenance.resident_peak_bytes()  # before a second model may be loaded
        losses = [prediction.loss for prediction in predicted if prediction.loss is not None]
        run.measured.costs = _measure_costs(run, built, encoded, losses)
    return predictions


def _measure_costs(
    run: Run, built: RunComponents, encoded: TokenizedSplits, losses: Sequence[tuple[float, int]]
) -> Costs:
    """Measure what was forgotten, as far as the study asks for it, then costs, which destroy the model."""

    def measuring() -> Measuring:
        return Measuring(
            run.config,
            built.model,
            built.tokenizer,
            encoded,
            losses,
            run.folder / MODEL_FOLDER,
            cache=run.study_folder,
            max_seconds=max(COSTS_SHARE * sum(run.clock.seconds.values()), COSTS_SECONDS),
        )

    forgotten = measure_answers(measuring()) if run.config.lm_eval else Costs()
    if not run.config.costs:
        return forgotten
    costs = measure_costs(measuring())
    notes = [*forgotten.notes, *costs.notes]
    return replace(costs, answers=forgotten.answers, lm_eval_seconds=forgotten.lm_eval_seconds, notes=notes)


class Stages:
    """The stages of prediction that the progress file shows, and the seconds that each took."""

    def __init__(self, clock: WallClock, progress: ProgressFile) -> None:
        self._clock, self._progress = clock, progress
        self._current = ""
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str) -> None:
        """End the previous stage and start this one; an empty string only ends the previous one."""
        self._clock.enter(EVALUATION)
        now = self._clock.seconds[EVALUATION]
        if self._current:
            self.seconds[self._current] += now
        if stage:
            self.seconds[stage] = -now
            self._progress.update(stage)
        self._current = stage


def score_predictions(run: Run, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Score the predictions and store the mean scores in the run's measurements; return one row per example."""
    answers = [p.text if p.answer is None else p.answer for p in predictions]
    scores = score_texts(answers, examples, run.metrics)
    run.measured.results = {name: sum(values) / len(values) for name, values in scores.items()}
    losses = [p.loss for p in predictions if p.loss is not None]
    if losses:
        nats, num_labels = (sum(column) for column in zip(*losses, strict=True))
        run.measured.results["test_loss"] = nats / num_labels
    return [
        {
            **{name: value for name, value in asdict(example).items() if value is not None},
            "prediction": p.text,
            **({"answer": p.answer} if p.answer is not None else {}),
            "scores": {name: values[i] for name, values in scores.items()},
            "nll": p.loss and p.loss[0],
            "num_tokens": p.loss and p.loss[1],
        }
        for i, (example, p) in enumerate(zip(examples, predictions, strict=True))
    ]
