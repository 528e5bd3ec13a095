"""One learning rate for a whole study: which methods it suits badly."""

from __future__ import annotations

from hf_peft_compare.config.study import Study

RATE = "learning_rate"
FAR = 3.0  # factor from a method's own default, beyond which a rate is far from it


def is_far(rate: float, default: float) -> bool:
    """Whether a learning rate is more than a factor of FAR from a method's default."""
    return max(rate / default, default / rate) > FAR


def describe_shared_rate(study: Study) -> str | None:
    """Return a sentence on a learning rate that the study sets for all rows, naming those it suits badly.

    None: the study sets no such rate, or every row that uses it has a default within a factor of 3 of it.
    """
    given = [rate for layer in study.layers.values() if (rate := (layer.get("training") or {}).get(RATE)) is not None]
    if not given:
        return None
    shared = float(given[-1])
    far = []
    for row in study.config.methods:
        config, origins = study.resolve(row=row, seed=study.config.seeds[0])
        default = config.method_type.defaults_with(config.method).get(RATE)
        own = origins["training.learning_rate"] not in ("study", "command line")
        if not config.method_type.trains or own or config.training.learning_rate != shared:
            continue
        if isinstance(default, float) and is_far(shared, default):
            far.append(f"{row} ({default:g})")
    if not far:
        return None
    return (
        f"One learning rate, {shared:g}, is set for all rows; it is more than a factor of {FAR:g} from the default of "
        f"{', '.join(far)}. Give rows rates of their own, or remove it and let `tune: auto` find them."
    )
