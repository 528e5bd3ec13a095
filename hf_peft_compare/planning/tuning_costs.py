"""The cost of tuning a study's rows, by the plans of their runs."""

from __future__ import annotations

from collections.abc import Mapping

from hf_peft_compare.config.schema import Tune
from hf_peft_compare.config.search_spaces import AUTO_SHARE, space_of
from hf_peft_compare.config.study import Study
from hf_peft_compare.planning.estimates import times
from hf_peft_compare.planning.plan_types import TuningPlan
from hf_peft_compare.records.plan import RunPlan, total

TRIAL = ("train", "validation")  # the phases of a trial: the test split is not read, a trunk's states are cached


def plan_tuning(study: Study, plans: Mapping[str, RunPlan]) -> dict[str, TuningPlan]:
    """Return the cost of the trials of each row that is tuned; all seeds of a row share them.

    Args:
        plans: the plan of each row.
    """
    tune = study.config.tune
    if tune is None:
        return {}
    if not isinstance(tune, Tune):
        rows = set(study.rows_without_rate)
        return {row: _times(plan, AUTO_SHARE) for row, plan in plans.items() if row in rows}
    return {row: _by_budget(tune, plan) for row, plan in plans.items() if space_of(study, row)}


def _by_budget(tune: Tune, plan: RunPlan) -> TuningPlan:
    if tune.num_trials is not None:
        return _times(plan, tune.num_trials, num_trials=tune.num_trials)
    budget, one = 60.0 * (tune.minutes or 0), _times(plan, 1)
    flops = None if one.flops is None or not one.seconds else one.flops * budget / one.seconds
    return TuningPlan(seconds=budget, flops=flops)


def _times(plan: RunPlan, factor: float, *, num_trials: int | None = None) -> TuningPlan:
    seconds, flops = (times(factor, total(costs[phase] for phase in TRIAL)) for costs in (plan.seconds, plan.flops))
    return TuningPlan(seconds=seconds, flops=flops, num_trials=num_trials)
