"""What `tune` searches: the ranges and choices of each row's settings."""

from __future__ import annotations

from hf_peft_compare.config.schema import Tune, run_key
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.method import Choices, Range

LEARNING_RATE = "training.learning_rate"
AUTO_SHARE = 1.5  # `tune: auto` costs at most this many trainings of the row


def space_of(study: Study, row: str) -> dict[str, Range | Choices]:
    """Return what a budget tunes of a row; empty: the row is not tuned.

    These are its method's own ranges, overridden by the study's entries for the method and the row.
    Settings that a row sets itself are fixed unless the study names them: they distinguish two rows of one method. A
    learning rate that a row sets is the starting point of its tuning.
    """
    tune = study.config.tune
    assert isinstance(tune, Tune)
    config, origins = study.resolve(row=row, seed=tune.seed)
    method = config.method_type
    if not method.trains:
        return {}
    fixed = {key for key, layer in origins.items() if layer in ("study method", "command line")}
    tunables = method.tunables_with(config.method)
    own = {k: v for k, v in tunables.items() if k == LEARNING_RATE or run_key(k) not in fixed}
    return {**own, **tune.parameters.get(method.name, {}), **tune.parameters.get(row, {})}
