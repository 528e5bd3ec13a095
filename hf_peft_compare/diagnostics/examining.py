"""All checks on all rows of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import Examples, load_by_choice
from hf_peft_compare.diagnostics.checks import CHECKS, Check
from hf_peft_compare.diagnostics.context import CheckContext, for_examination
from hf_peft_compare.diagnostics.inputs import INPUT_CHECKS
from hf_peft_compare.diagnostics.observations import ModelOutput
from hf_peft_compare.diagnostics.results import PROBLEM, CheckResult, Examination, does_not_apply
from hf_peft_compare.models.loading import base_on_meta
from hf_peft_compare.planning.meta_models import check_settings

BROKEN_BASE = "the base is not what it is taken for"


def examine(configs: Sequence[RunConfig]) -> Iterator[Examination]:
    """Run all checks on the rows of a study, each with its first seed, one after the other.

    Raises:
        UserError: invalid data, model or settings, with which no run could start.
    """
    rows: dict[str, RunConfig] = {}
    for config in configs:
        if config.row not in rows and config.method_type.uses_model:
            check_settings(config, base_on_meta(config))
        rows.setdefault(config.row, for_examination(config))
    examples = load_by_choice(list(rows.values()))
    untouched: dict[str, ModelOutput] = {}
    for config in rows.values():
        yield _examine_row(config, examples[config.train_choice], untouched)


def _examine_row(config: RunConfig, examples: Examples, untouched: dict[str, ModelOutput]) -> Examination:
    start = perf_counter()
    with TemporaryDirectory() as folder:
        context = CheckContext(config=config, examples=examples, folder=Path(folder), untouched=untouched)
        findings = {check.__name__: check(context) for check in INPUT_CHECKS}
        broken = any(findings[name].status == PROBLEM for name in ("weights", "vocabulary"))
        for check in CHECKS:
            findings[check.__name__] = does_not_apply(BROKEN_BASE) if broken else _find(check, context)
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
