"""Build a run's record from its state."""

from __future__ import annotations

from dataclasses import replace

from hf_peft_compare.core.metric import Score
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.records import provenance
from hf_peft_compare.records.parts import Memory, ScoreDescription, Seconds, Throughput
from hf_peft_compare.records.record import RunRecord, record_of
from hf_peft_compare.training.run_state import Run


def describe_scores(run: Run) -> dict[str, ScoreDescription]:
    """Return a description of every score of the run's task, the ranking score first."""
    scores = [score for metric in run.metrics for score in metric.scores]
    test_loss = Score(name="test_loss", title="Test loss", unit=head_of(run.config).loss_unit, greater_is_better=False)
    return {
        score.name: ScoreDescription(
            title=score.title, unit=score.unit, greater_is_better=score.greater_is_better, note=score.note
        )
        for score in [*scores, test_loss]
    }


def make_record(run: Run, *, error: str | None = None) -> RunRecord:
    """Return the record of a run with all its measurements; the run is finished unless an error is passed."""
    measured = run.measured
    return replace(
        record_of(run.config, run.origins, error=error, plan=run.plan),
        scores=measured.scores,
        parameters=measured.parameters,
        initial_trainables_sha256=measured.initial_trainables_sha256,
        final_trainables_sha256=measured.final_trainables_sha256,
        results=measured.results,
        validation=measured.validation,
        seconds=Seconds(**run.clock.seconds),
        memory=Memory(
            resident_peak_bytes=measured.resident_peak_bytes or provenance.resident_peak_bytes(),
            **run.memory.results(),
            **run.breakdown.results(),
        ),
        trunk_cache=measured.trunk_cache,
        tuning=run.tuning,
        throughput=_throughput(run),
        costs=measured.costs,
        history=measured.history,
        notes=list(run.notes),
        provenance=measured.provenance,
    )


def _throughput(run: Run) -> Throughput:
    measured = run.measured
    return Throughput(
        num_train_tokens=measured.num_train_tokens,
        train_tokens_per_second=_rate(measured.num_train_tokens, run.clock.seconds["train"]),
        train_flops=measured.train_flops,
        **(run.energy.results() if run.energy else {}),
        num_prompt_tokens=measured.num_prompt_tokens,
        num_generated_tokens=measured.num_generated_tokens,
        generated_tokens_per_second=_rate(measured.num_generated_tokens, measured.generation_seconds),
    )


def _rate(amount: float | None, seconds: float | None) -> float | None:
    return amount / seconds if amount and seconds else None
