"""All checks on all rows of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.diagnostics.checks import CHECKS, Check
from hf_peft_compare.diagnostics.context import CheckContext, for_examination
from hf_peft_compare.diagnostics.observations import ModelOutput
from hf_peft_compare.diagnostics.results import PROBLEM, CheckResult, Examination, does_not_apply


def examine(configs: Sequence[RunConfig]) -> Iterator[Examination]:
    """Run all checks on the rows of a study, each with its first seed, one after the other.

    Raises:
        UserError: invalid data, model or settings, with which no run could start.
    """
    rows: dict[str, RunConfig] = {}
    for config in configs:
        rows.setdefault(config.row, for_examination(config))
    trains: dict[int | None, list[Example]] = {}
    untouched: dict[str, ModelOutput] = {}
    for config in rows.values():
        size = config.num_train_samples
        if size not in trains:
            trains[size] = load_examples(config)["train"]
        yield _examine_row(config, trains[size], untouched)


def _examine_row(config: RunConfig, train: Sequence[Example], untouched: dict[str, ModelOutput]) -> Examination:
    start = perf_counter()
    with TemporaryDirectory() as folder:
        context = CheckContext(config=config, train=train, folder=Path(folder), untouched=untouched)
        findings = {check.__name__: _find(check, context) for check in CHECKS}
    return Examination(
        row=config.row, method=context.config.method_type.title, findings=findings, seconds=perf_counter() - start
    )


def _find(check: Check, context: CheckContext) -> CheckResult:
    """Run one check; an exception of the check counts as a problem."""
    if not context.config.method_type.uses_model:
        return does_not_apply("no model is loaded")
    try:
        return check(context)
    except UserError:
        raise
    except Exception as error:  # whatever the model raises, the other checks continue
        return CheckResult(status=PROBLEM, expected="no error", found=f"{type(error).__name__}: {error}")
