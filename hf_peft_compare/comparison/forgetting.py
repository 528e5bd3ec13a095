"""What a row has forgotten: its change in tasks of lm-evaluation-harness, with intervals over seeds and documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.intervals import Interval, describe_scope, mean_interval
from hf_peft_compare.comparison.rows import MethodRow, change_of


def change_intervals(row: MethodRow) -> Iterator[tuple[str, Interval]]:
    """Yield the interval of the adapted minus the untouched model's share of right answers, by the figure's key.

    Both models answer the same documents, so the differences are paired; the intervals are those of test scores.
    """
    by_seed = [run.record.costs.answers for run in row.finished_runs if run.record and run.record.costs]
    if not by_seed or len(by_seed) < len(row.finished_runs):
        return
    for task in by_seed[0]:
        changes = [answers[task].changes for answers in by_seed if task in answers]
        if len(changes) < len(by_seed) or len({len(values) for values in changes}) > 1:
            continue
        values = np.array(changes, dtype=np.float64)
        number = values.shape[1]
        scores = ExampleScores(
            ids=tuple(map(str, range(number))), values=values, weights=np.ones_like(values), num_examples=number
        )
        scope = describe_scope(scores, len(changes) if row.seeded else None, what="documents")
        yield change_of(task), mean_interval(scores, scope=scope)
