"""The result of a check: what was expected, what was found, and whether the two agree."""

from __future__ import annotations

from dataclasses import dataclass, field

PASSED, PROBLEM, DOES_NOT_APPLY = "ok", "problem", "does not apply"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of one check of one row of a study.

    Args:
        status: "ok", "problem" or "does not apply".
        found: the measured values; if the check does not apply, the reason.
        expected: the expected values; None if the check does not apply.
    """

    status: str
    found: str
    expected: str | None = None


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All results of one row, by the name of the check, and the seconds that they took."""

    row: str
    method: str
    findings: dict[str, CheckResult] = field(default_factory=dict)
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no check found a problem."""
        return all(finding.status != PROBLEM for finding in self.findings.values())


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The examinations of all rows of a study; prints as a list of the result of every check."""

    examinations: tuple[Examination, ...]

    @property
    def passed(self) -> bool:
        """Whether no check found a problem in any row."""
        return all(examination.passed for examination in self.examinations)

    def __str__(self) -> str:
        from hf_peft_compare.diagnostics.console import render_examination, summarize_examinations

        return "\n".join([*map(render_examination, self.examinations), summarize_examinations(self.examinations)])


def judged(passed: bool, *, expected: str, found: str) -> CheckResult:
    """Return the result of a check that applies."""
    return CheckResult(status=PASSED if passed else PROBLEM, expected=expected, found=found)


def does_not_apply(reason: str) -> CheckResult:
    """Return the result of a check that does not apply."""
    return CheckResult(status=DOES_NOT_APPLY, found=reason)
