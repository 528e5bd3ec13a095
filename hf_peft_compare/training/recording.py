"""From the state of a run to its record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hf_peft_compare.core.metric import Score
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.records import provenance
from hf_peft_compare.records.record import RunRecord, identity
from hf_peft_compare.training.run_state import Run


def describe_scores(run: Run) -> dict[str, dict[str, Any]]:
    """Describe every score of the run's task, the ranking one first."""
    scores = [score for metric in run.metrics for score in metric.scores]
    test_loss = Score(name="test_loss", title="Test loss", unit=head_of(run.config).loss_unit, greater_is_better=False)
    return {s.name: {k: v for k, v in asdict(s).items() if k != "name" and v != ""} for s in [*scores, test_loss]}


def make_record(run: Run, *, status: str, error: str | None) -> RunRecord:
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
