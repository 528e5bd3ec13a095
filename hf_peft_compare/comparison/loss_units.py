"""Test losses in several units: a loss per token and one per class are two scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hf_peft_compare.comparison.example_scores import LOSS
from hf_peft_compare.records.parts import ScoreDescription
from hf_peft_compare.records.record import RunRecord

TEST_LOSS = ScoreDescription(title="Test loss", unit="nats per token", greater_is_better=False)


def by_unit(records: Mapping[str, RunRecord]) -> dict[str, RunRecord]:
    """Name test losses after their units if runs differ in units: loss per token and per class are not comparable.

    The most frequent unit keeps the plain name.
    """
    units = {run: _loss_unit(r) for run, r in records.items() if r.finished and LOSS in r.results}
    counts = Counter(units.values())
    if len(counts) < 2:
        return dict(records)
    most = max(counts, key=lambda unit: counts[unit])
    names = {unit: LOSS if unit == most else f"{LOSS} in {unit}" for unit in counts}
    return {
        run: _with_loss_named(r, names[units[run]], units[run]) if run in units else _without_loss(r)
        for run, r in records.items()
    }


def _loss_unit(record: RunRecord) -> str | None:
    about = record.scores.get(LOSS)
    return (about.unit or None) if about else None


def _with_loss_named(record: RunRecord, name: str, unit: str | None) -> RunRecord:
    bare, about = _without_loss(record), replace(TEST_LOSS, title=f"Test loss ({unit})", unit=unit or "")
    results = {name if score == LOSS else score: value for score, value in record.results.items()}
    return replace(bare, scores={**bare.scores, name: about}, results=results)


def _without_loss(record: RunRecord) -> RunRecord:
    return replace(record, scores={score: about for score, about in record.scores.items() if score != LOSS})
