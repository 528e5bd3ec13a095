"""Equal-budget tuning: every method of a study gets the same number of trials, or minutes, over its own ranges.

Trials are runs that train and validate; the test split is not used before all settings are chosen. The first trial has
the row's own settings, the next ones random settings; from then on Optuna fits a Gaussian process to the results, which
takes them for noisy, and proposes where it expects the greatest improvement (Jones et al. 1998).

Trials are proposed in rounds of `parallel_trials`, which can run at once. Within a round each proposal knows the
settings of those before it, and the greatest improvement is the one expected of all of them together (Ament et al.
2023); none knows a result of its own round, and pruning compares a trial with those of earlier rounds. The sampler is
seeded and receives every result in order, whichever trial ended first. So the same study proposes the same trials
again, and an interrupted study resumes: trials that have a record are not run again.

If the best learning rate of a row lies at an edge of its range, the range is extended tenfold on that side, once, and
the row gets a quarter more trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from hf_peft_compare.config.schema import RunConfig, Tune
from hf_peft_compare.config.search_spaces import LEARNING_RATE, space_of
from hf_peft_compare.config.study import Study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Choices, Range
from hf_peft_compare.orchestration.jobs import Job, unfinished
from hf_peft_compare.orchestration.trials import trial_job, trial_of, trial_record, with_best
from hf_peft_compare.records.tuning import SearchChoices, SearchRange, Trial, Tuning

EDGE_SHARE = 0.1  # of a range's length on its own scale; an optimum may lie beyond a bound this near to the best
WIDENED = 10  # factor by which a range is extended, once
MORE_TRIALS = 0.25  # of the budget, after a range was extended
TRIALS_BEFORE_PRUNING = 3
MOST_FAILURES = 5  # trials of a budget in minutes, without one that finished; those of a killed process take no time
RANDOM_SHARE = 1 / 3  # of the trials; a Gaussian process of one or two settings needs no more to start from

RunJobs = Callable[..., Any]


@dataclass
class RowTuning:
    """The trials of one row so far.

    Args:
        base: the row's untuned job.
        space: the initial search space, {dotted key of the row's settings: range or choices}.
        sampler: Optuna's study, which proposes trials and receives their results.
    """

    base: Job
    space: Mapping[str, Range | Choices]
    tune: Tune
    sampler: Any
    trials: list[Trial] = field(default_factory=list)
    beyond: Range | None = None  # the learning rate's search range after the range was extended

    @property
    def best(self) -> Trial | None:
        """The finished trial with the lowest validation loss; None if there is none yet."""
        finished = [(trial.validation_loss, trial) for trial in self.trials if trial.validation_loss is not None]
        return min(finished, key=lambda pair: pair[0], default=(None, None))[1]

    @property
    def seconds(self) -> float:
        """The seconds of all trials."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def num_next(self) -> int:
        """How many trials the next round has; 0: the row has used up its budget.

        Minutes are those of all trials together. A round has no more trials than fit into what is left of them if each
        takes as long as the longest so far; until one has finished, it has one, and a few failures end it.
        """
        if self.tune.minutes is None:
            left = (self.tune.num_trials or 0) + (self._num_more if self.beyond else 0) - len(self.trials)
            return min(left, self.tune.parallel_trials)
        seconds = 60 * self.tune.minutes - self.seconds
        if self.best is None:
            return int(seconds > 0 and len(self.trials) < MOST_FAILURES)
        longest = max(1.0, *(trial.seconds for trial in self.trials))
        return max(min(math.ceil(seconds / longest), self.tune.parallel_trials), 0)

    @property
    def _num_more(self) -> int:
        return math.ceil(MORE_TRIALS * (self.tune.num_trials or 0))

    def propose(self) -> list[Proposal]:
        """Return the trials of the next round: at least one, in an extended range too if the minutes are spent."""
        space = {**self.space, LEARNING_RATE: self.beyond} if self.beyond else self.space
        to_beat, done = self._losses_to_beat(), len(self.trials)
        proposals = []
        for number in range(done, done + max(self.num_next, 1)):
            asked = self.sampler.ask()
            settings = {key: _suggest(asked, key, choice) for key, choice in space.items()}
            job = trial_job(self.base, settings, seed=self.tune.seed, number=number)
            job = replace(job, config=replace(job.config, stop_above=to_beat))
            proposals.append(Proposal(row=self, asked=asked, settings=settings, job=job))
        return proposals

    def add_result(self, proposal: Proposal) -> None:
        """Add a trial's result; a failed trial is never the best."""
        from optuna.trial import TrialState

        found = trial_of(proposal.settings, trial_record(proposal.job))
        state = TrialState.FAIL if found.validation_loss is None else TrialState.COMPLETE
        self.sampler.tell(proposal.asked, found.validation_loss, state=state)
        self.trials.append(found)

    def widen(self) -> bool:
        """Extend the learning rate's range tenfold, once, if the best trial lies at an edge; return whether it does."""
        rate = self.space.get(LEARNING_RATE)
        if self.beyond or self.best is None or not isinstance(rate, Range):
            return False
        place = rate.place(self.best.settings[LEARNING_RATE])
        if _is_inside(place):
            return False
        below, above = (rate.low / WIDENED, rate.low), (rate.high, rate.high * WIDENED)
        low, high = below if place <= EDGE_SHARE else above
        self.beyond = replace(rate, low=low, high=high)
        self.sampler = _sampler(self.tune, num_trials=self._num_more)
        return True

    def result(self) -> Tuning:
        """Return the trials for the records of the row's runs; raise UserError if every trial failed."""
        if self.best is None:
            errors = {trial.error for trial in self.trials}
            raise UserError(f"every tuning trial of {self.base.config.row} failed: {'; '.join(map(str, errors))}")
        rate = self.space.get(LEARNING_RATE)
        at_edge = False
        if isinstance(rate, Range):
            parts = [rate, self.beyond or rate]
            whole = replace(rate, low=min(p.low for p in parts), high=max(p.high for p in parts))
            at_edge = not _is_inside(whole.place(self.best.settings[LEARNING_RATE]))
        return Tuning(
            budget=self.tune.budget,
            space={key: _searched(choice) for key, choice in self.space.items()},
            widened=_searched_range(self.beyond) if self.beyond else None,
            best_settings=self.best.settings,
            at_edge=at_edge,
            seconds=self.seconds,
            trials=self.trials,
            parallel_trials=self.tune.parallel_trials,
        )

    def _losses_to_beat(self) -> list[float]:
        """Return the median validation loss of the trials so far at each evaluation; trials above it are stopped."""
        if not self.tune.prune or len(self.trials) < TRIALS_BEFORE_PRUNING:
            return []
        curves = [trial.validation_losses for trial in self.trials]
        reached = range(max(map(len, curves)))
        columns = [[curve[i] for curve in curves if len(curve) > i] for i in reached]
        return [median(column) for column in columns if len(column) >= TRIALS_BEFORE_PRUNING]


@dataclass(frozen=True)
class Proposal:
    """A trial of a row's next round: Optuna's own trial, the settings tried, and the job that tries them."""

    row: RowTuning
    asked: Any
    settings: Mapping[str, Any]
    job: Job


def tuned_jobs(study: Study, jobs: Sequence[Job], run_jobs: RunJobs) -> list[Job]:
    """Tune the rows of a study; return its jobs with the settings of the lowest validation loss.

    Args:
        jobs: the untuned jobs.
        run_jobs: runs jobs that are not finished; a failed job leaves a record with its error.

    Raises:
        UserError: a row lacks a setting, or no trial of a row finished.
    """
    tuned = _tune_rows(study, jobs, run_jobs)
    return [with_best(job, tuned) for job in jobs]


def _tune_rows(study: Study, jobs: Sequence[Job], run_jobs: RunJobs) -> dict[str, Tuning]:
    """Tune every row that trains, a round of each at a time; return {row: its trials and the best settings}."""
    tune = study.config.tune
    assert isinstance(tune, Tune)
    firsts: dict[str, Job] = {}
    for job in jobs:
        firsts.setdefault(job.config.row, job)
    rows = [_start(job, space, tune) for row, job in firsts.items() if (space := space_of(study, row))]
    check = True
    while open_rows := [row for row in rows if row.num_next or row.widen()]:
        proposals = [proposal for row in open_rows for proposal in row.propose()]
        if waiting := unfinished([proposal.job for proposal in proposals]):
            run_jobs(waiting, check=check)
            check = False
        for proposal in proposals:
            proposal.row.add_result(proposal)
    return {row.base.config.row: row.result() for row in rows}


def _start(base: Job, space: Mapping[str, Range | Choices], tune: Tune) -> RowTuning:
    """Start tuning with the row's own settings, so that the result is never worse than these on validation."""
    sampler = _sampler(tune, num_trials=tune.num_trials or 8)
    own = {key: _own_value(base.config, key) for key in space}
    if all(space[key].holds(value) for key, value in own.items()):
        sampler.enqueue_trial(own)
    return RowTuning(base=base, space=space, tune=tune, sampler=sampler)


def _sampler(tune: Tune, *, num_trials: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns of optional packages
    num_random = max(round(RANDOM_SHARE * num_trials), 2)
    sampler = optuna.samplers.GPSampler(seed=tune.seed, n_startup_trials=num_random)
    return optuna.create_study(direction="minimize", sampler=sampler)


def _is_inside(place: float) -> bool:
    return EDGE_SHARE < place < 1 - EDGE_SHARE


def _suggest(trial: Any, key: str, choice: Range | Choices) -> Any:
    if isinstance(choice, Choices):
        return trial.suggest_categorical(key, list(choice.values))
    value = trial.suggest_float(key, choice.low, choice.high, log=choice.log)
    # Losses differ in their last digits from one number of threads to another; what is proposed should not.
    return min(max(float(f"{value:.2g}"), choice.low), choice.high)


def _searched(choice: Range | Choices) -> SearchRange | SearchChoices:
    return _searched_range(choice) if isinstance(choice, Range) else SearchChoices(values=list(choice.values))


def _searched_range(choice: Range) -> SearchRange:
    return SearchRange(low=choice.low, high=choice.high, log=choice.log)


def _own_value(config: RunConfig, key: str) -> Any:
    name = key.removeprefix("training.")
    if name != key and hasattr(config.training, name):
        return getattr(config.training, name)
    if key not in config.method:
        own = ", ".join([name for name in config.method if name != "name"] + ["training settings"])
        raise UserError(f"tune.parameters: {config.row} has no setting {key!r}; it has {own}.")
    return config.method[key]
