"""The parts of a comparison: one row per run, and one row per method."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from hf_peft_compare.comparison.example_scores import ExampleScores
from hf_peft_compare.comparison.intervals import Interval
from hf_peft_compare.records.parts import Costs
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.run_folder import run_name

FINISHED, FAILED, MISSING, PARTIAL = "finished", "failed", "missing", "partial"


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run of the study, finished or not.

    Args:
        status: "finished", "failed" or "missing".
        figures: every number of the record in raw units, see `figures_of`.
    """

    row: str
    seed: int
    status: str
    error: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    record: RunRecord | None = None

    @property
    def run(self) -> str:
        """The run's name within its study."""
        return run_name(row=self.row, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One row of the study's table: the mean over its finished seeds.

    Args:
        label: the method's title, with the row's name added if several rows share the title.
        status: "finished" (all seeds), "partial", "failed" or "missing".
        floor: nothing is trained in this row, e.g. zero-shot or the lead of the text.
        given: what it scores was trained elsewhere.
        seeded: the scores depend on the seed: the row trains, or it draws examples or tokens.
        figures: means over seeds in raw units; `spreads` their standard deviations, if there are several seeds.
        intervals: {score name, or change in a task of lm_eval: interval over seeds and examples}.
        examples: per-example values of the ranking score, of all seeds; None if no run has finished.
        answers: {answer: test examples, over all seeds} if a score is of whole classes.
        contradictions: sentences on means in records that the predictions contradict.
    """

    row: str
    label: str
    status: str
    runs: tuple[RunRow, ...]
    floor: bool = False
    given: bool = False
    seeded: bool = True
    figures: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    examples: ExampleScores | None = field(default=None, repr=False, compare=False)
    answers: Mapping[str, int] = field(default_factory=dict, repr=False)
    contradictions: tuple[str, ...] = ()

    @property
    def finished_runs(self) -> tuple[RunRow, ...]:
        """The finished runs."""
        return tuple(run for run in self.runs if run.status == FINISHED)

    @property
    def cost(self) -> tuple[float, float]:
        """Trained parameters and seconds of training, by which rows of equal quality are ordered; unknown is last."""
        unknown = 0.0 if self.floor else math.inf
        return self.figures.get("trainable_params", unknown), self.figures.get("train_seconds", unknown)

    @property
    def record(self) -> RunRecord | None:
        """The record of the first finished run, else of the first run that has one."""
        records = [run.record for run in (*self.finished_runs, *self.runs) if run.record is not None]
        return records[0] if records else None

    @property
    def test_data(self) -> frozenset[str]:
        """Fingerprints of the test data that the finished runs were scored on, if known."""
        found = {fingerprint_of_test(run.record) for run in self.finished_runs if run.record is not None}
        return frozenset(fingerprint for fingerprint in found if fingerprint is not None)

    @property
    def remark(self) -> str:
        """What is missing or has failed, or was not measured; empty for any other finished row."""
        if self.status == MISSING:
            return "not run yet"
        if self.status == FINISHED and self.given and "total_params" not in self.figures:
            return "ran elsewhere: no costs measured"
        errors = [first_line(run.error) for run in self.runs if run.status == FAILED]
        failed = f"failed: {errors[0]}" if errors else ""
        if self.status == PARTIAL:
            return f"{len(self.finished_runs)} of {len(self.runs)} seeds" + (f", {failed}" if failed else "")
        return failed


def figures_of(record: RunRecord) -> dict[str, float]:
    """Return a record's numbers in one flat dictionary, in raw units, without those that are None or absent.

    Keys: score names, trainable_params, total_params, trainable_ratio, {train,evaluation,save,load}_seconds, the keys
    of memory, throughput and costs, best_validation_loss, best_step, best_epoch; examples_per_second_32,
    merged_loss_change, forgetting, lm_eval_TASK_{tuned,untouched,change}, label_accuracy of a teacher's labels, and
    tuned_train_seconds, which includes all tuning trials.
    """
    if "predictions_from" in record.config.get("method", {}):
        return dict(record.results)  # what reading a file takes says nothing of the model that ran elsewhere
    parameters, validation, costs = record.parameters, record.validation, record.costs
    labels = record.provenance.train_labels
    parts: list[dict[str, float | None]] = [
        dict(record.results),
        {"label_accuracy": labels.accuracy} if labels else {},
        {**asdict(parameters), "trainable_ratio": parameters.trainable_ratio} if parameters else {},
        {f"{clock}_seconds": value for clock, value in asdict(record.seconds).items()},
        {"tuned_train_seconds": _tuned_train_seconds(record)},
        asdict(record.memory),
        {"best_validation_loss": validation.best_loss} if validation else {},
        {"best_step": validation.best_step, "best_epoch": validation.best_epoch} if validation else {},
        asdict(record.throughput),
        _cost_figures(costs) if costs else {},
    ]
    return {key: value for part in parts for key, value in part.items() if value is not None}


def fingerprint_of_test(record: RunRecord) -> str | None:
    """Return the fingerprint of the test data that a record was scored on, or None if it has none."""
    return record.provenance.data_fingerprint.get("test")


def rate_of(record: RunRecord) -> float:
    """Return the learning rate of a record's config; nan if it has none."""
    return float(record.config.get("training", {}).get("learning_rate", math.nan))


def first_line(text: str | None) -> str:
    """Return the most informative line of an error: the last of a traceback, else the first."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not lines:
        return "no error was recorded"
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def _tuned_train_seconds(record: RunRecord) -> float | None:
    """Return the seconds of training plus those of tuning, or None if the row was not tuned."""
    return None if record.tuning is None else (record.seconds.train or 0.0) + record.tuning.seconds


def _cost_figures(costs: Costs) -> dict[str, float | None]:
    """Return the numbers of a record's costs, and those derived from two of them."""
    batch = costs.latency_32_seconds
    return {
        **{key: value for key, value in asdict(costs).items() if key not in ("notes", "answers")},
        **dict(_answer_figures(costs)),
        "merged_loss_change": _difference(costs.merged_loss, costs.unmerged_loss),
        "forgetting": _difference(costs.outside_loss, costs.untouched_outside_loss),
        "examples_per_second_32": 32 / batch if batch else None,
    }


def _answer_figures(costs: Costs) -> Iterator[tuple[str, float]]:
    """Yield the shares of right answers in each task of lm-evaluation-harness, and their change by the run."""
    for task, answers in costs.answers.items():
        for key, bits in (("tuned", answers.tuned), ("untouched", answers.untouched)):
            yield f"lm_eval_{task}_{key}", bits.count("1") / len(bits)
        yield change_of(task), sum(answers.changes) / len(answers.changes)


def change_of(task: str) -> str:
    """Return the figure's key of the change of the share of right answers in a task of lm-evaluation-harness."""
    return f"lm_eval_{task}_change"


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
