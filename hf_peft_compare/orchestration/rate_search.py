"""`tune: auto`: find a learning rate for every trained row that nobody has given one, on validation loss.

A search costs at most one and a half times the row's own training, counted in forward passes of an example (a train
step costs three). All trials of a stage have the same number of steps and their own full schedule:

1. Bracket: trials of a twelfth of the steps, started at the method's default and one half order of magnitude above.
   While the best lies at the edge of what was tried, the range goes on there.
2. Refine: three longer trials, one after the other by the same rule: from the best rate down, in steps of a quarter of
   an order of magnitude, with all that is left of the budget.

The best of the longest trials decides. No parabola is drawn through them: the loss of LoRA leaps just above its best
rate, and the minimum would be far below. The whole training gets three quarters of that rate: of seven rows, its best
rate was .4 to .9 times that of a half, a third or a twelfth of it, much the same for each of these (median .7). Where
the next lower rate has learned less than half as much as the best one, the trial was too short for it: how far it came
was decided by rate times steps, so the whole training, of more steps, gets a rate that is lower by their ratio.
benchmarks/RESULTS.md has what the search loses.

Trials have a seed that is no seed of the study, so that no run is the trial that was selected. The same study proposes
the same trials again: those that have a record are read, not run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.search_spaces import AUTO_SHARE, LEARNING_RATE
from hf_peft_compare.config.study import Study
from hf_peft_compare.orchestration.jobs import Job, unfinished
from hf_peft_compare.orchestration.trials import trial_job, trial_of, trial_record, with_best
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.tuning import SearchRange, Trial, Tuning

TRAIN_COST = 3  # forward passes that a train step costs
STEP = math.sqrt(10)  # between the rates of the bracket
FINE_STEP = math.sqrt(STEP)  # between those of the second stage
MIN_BRACKET, MAX_BRACKET, NUM_FINE = 3, 6, 3
WHOLE = 0.75  # the best rate of a whole training, over that of at most a half of it
SLOW = 0.5  # the share of what the best trial has learned, below which a lower rate was only too slow
SEED = 20_011


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of examples of a row's train and validation split."""

    train: int
    validation: int


@dataclass(frozen=True, kw_only=True)
class Costs:
    """A row's training in steps, and what its parts cost, in forward passes of one example."""

    num_steps: int
    step: int
    evaluation: int
    num_evaluations: int

    @classmethod
    def of(cls, config: RunConfig, sizes: Sizes) -> Costs:
        """Return the costs of a row's own training."""
        training = config.training
        per_epoch = math.ceil(sizes.train / training.train_batch_size)
        steps = training.max_steps if training.max_steps > 0 else math.ceil(per_epoch * training.num_train_epochs)
        between = per_epoch if training.eval_strategy == "epoch" else training.eval_steps
        return cls(
            num_steps=max(steps, 1),
            step=TRAIN_COST * min(training.train_batch_size, sizes.train),
            evaluation=sizes.validation,
            num_evaluations=max(steps // between, 1),
        )

    @property
    def budget(self) -> float:
        """The most that a search may cost."""
        return AUTO_SHARE * (self.num_steps * self.step + self.num_evaluations * self.evaluation)

    @property
    def bracket_steps(self) -> int:
        """The steps of a trial of the first stage: a twelfth of all, in short trainings at least ten."""
        return max(self.num_steps // 12, min(10, self.num_steps // 8), 1)

    def of_trial(self, steps: int) -> float:
        """Return the cost of a trial, which validates once, at its end."""
        return steps * self.step + self.evaluation

    def fine_steps(self, num_bracket: int) -> int:
        """Return the steps of a trial of the second stage, at most half of all, after so many of the first."""
        left = self.budget - num_bracket * self.of_trial(self.bracket_steps) - NUM_FINE * self.evaluation
        return min(int(left / (NUM_FINE * self.step)), self.num_steps // 2)


@dataclass
class Stage:
    """Trials of one length, at rates that are equal steps apart on a logarithmic scale.

    Args:
        step: the factor between neighboring rates.
        second: the place of the second trial, 1 or -1 steps from the start.
        losses: {steps from the start: validation loss}; infinite: the trial failed.
    """

    start: float
    step: float
    second: int
    losses: dict[int, float] = field(default_factory=dict)
    first_loss: float = -math.inf  # the highest train loss that a trial has logged first: before it had learned much

    @property
    def is_slow(self) -> bool:
        """Whether the rate below the best one has learned so little that the trials were too short for it."""
        lower = self.losses.get(self.best - 1, math.inf)
        if not math.isfinite(self.first_loss) or not math.isfinite(lower):
            return False
        return self.first_loss - lower < SLOW * (self.first_loss - self.losses[self.best])

    @property
    def next_place(self) -> int | None:
        """The place beyond the best trial, while that is at the edge of those tried; None: it lies inside."""
        if len(self.losses) < 2:
            return (0, self.second)[len(self.losses)]
        if self.best == max(self.losses):
            return self.best + 1
        return self.best - 1 if self.best == min(self.losses) else None

    def rate(self, place: int) -> float:
        """Return the rate at so many steps from the start."""
        return self.start * self.step**place

    @property
    def best(self) -> int:
        """The place with the lowest loss, of equal ones the lower rate: too high a rate is what makes trials fail."""
        return min(self.losses, key=lambda place: (self.losses[place], place))


@dataclass
class RateSearch:
    """The trials of one row so far."""

    base: Job
    costs: Costs
    seed: int
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = self.base.config.training.learning_rate
        self._bracket, self._fine = Stage(start, STEP, 1), Stage(start, FINE_STEP, -1)

    def propose(self) -> Job | None:
        """Return the job of the next trial; None: the search is over."""
        if (following := self._next()) is None:
            return None
        stage, place, steps = following
        own = self.base.config
        training = replace(own.training, max_steps=steps, eval_strategy="steps", eval_steps=steps)
        short = replace(self.base, config=replace(own, training=training))
        return trial_job(short, {LEARNING_RATE: _rounded(stage.rate(place))}, seed=self.seed, number=len(self.trials))

    def add_result(self, job: Job, record: RunRecord | None) -> None:
        """Add the result of the trial proposed last; a failed trial is never the best."""
        training, following = job.config.training, self._next()
        assert following is not None
        trial = trial_of({LEARNING_RATE: training.learning_rate}, record, steps=training.max_steps)
        stage, place, _ = following
        stage.losses[place] = math.inf if trial.validation_loss is None else trial.validation_loss
        logged = next((entry.loss for entry in record.history if entry.loss is not None), None) if record else None
        stage.first_loss = max(stage.first_loss, -math.inf if logged is None else logged)
        self.trials.append(trial)

    def result(self) -> Tuning | None:
        """Return the rate found and its trials; None if every trial failed."""
        finished = [
            (-(trial.steps or 0), trial.validation_loss, trial.settings[LEARNING_RATE])
            for trial in self.trials
            if trial.validation_loss is not None
        ]
        if not finished:
            return None
        longest, _, rate = min(finished)  # the best of the longest
        stage = self._fine if self._fine.losses else self._bracket
        factor = min(WHOLE, -longest / self.costs.num_steps) if stage.is_slow else WHOLE
        rates = [trial.settings[LEARNING_RATE] for trial in self.trials]
        return Tuning(
            budget=f"{AUTO_SHARE:g} × one training",
            space={LEARNING_RATE: SearchRange(low=min(rates), high=max(rates))},
            widened=None,
            best_settings={LEARNING_RATE: _rounded(factor * rate)},
            at_edge=rate in (min(rates), max(rates)),
            seconds=sum(trial.seconds for trial in self.trials),
            trials=self.trials,
        )

    def _next(self) -> tuple[Stage, int, int] | None:
        """Return the stage, place and steps of the next trial; None: the search is over."""
        tried, short = len(self._bracket.losses), self.costs.bracket_steps
        enough_left = tried < MAX_BRACKET and self.costs.fine_steps(tried + 1) >= short
        place = self._bracket.next_place if enough_left or tried < MIN_BRACKET else None
        if place is not None:
            return self._bracket, place, short
        steps = self.costs.fine_steps(tried)
        if 2 * steps < 3 * short or len(self._fine.losses) == NUM_FINE:  # too little left for longer trials, or done
            return None
        self._fine.start = self._bracket.rate(self._bracket.best)
        place = self._fine.next_place
        return None if place is None else (self._fine, place, steps)


def _rounded(rate: float) -> float:
    """Return a rate with three digits."""
    return float(f"{rate:.3g}")


def trial_seed(seeds: Sequence[int]) -> int:
    """Return a seed that is none of the study's."""
    return next(seed for seed in range(SEED, SEED + len(seeds) + 1) if seed not in seeds)


def rated_jobs(
    study: Study,
    jobs: Sequence[Job],
    run_jobs: Callable[..., Any],
    count_examples: Callable[[Sequence[RunConfig]], Mapping[str, Sizes]],
) -> list[Job]:
    """Return a study's jobs, with a learning rate found for each trained row that has none of its own.

    A row whose trials all fail keeps its method's default.

    Args:
        run_jobs: runs jobs that are not finished; a failed job leaves a record with its error.
        count_examples: returns the sizes of the splits of rows.

    Raises:
        UserError: invalid input of any run; nothing was trained.
    """
    unrated = set(study.rows_without_rate)
    firsts = {job.config.row: job for job in reversed(jobs) if job.config.row in unrated}
    if not firsts:
        return list(jobs)
    sizes = count_examples([job.config for job in firsts.values()])
    seed = trial_seed(study.config.seeds)
    searches = {
        row: RateSearch(base=job, costs=Costs.of(job.config, sizes[row]), seed=seed) for row, job in firsts.items()
    }
    _search(list(searches.values()), run_jobs, others=[job.config for job in jobs])
    found = {row: tuning for row, search in searches.items() if (tuning := search.result()) is not None}
    return [with_best(job, found) for job in jobs]


def _search(searches: Sequence[RateSearch], run_jobs: Callable[..., Any], *, others: Sequence[RunConfig]) -> None:
    """Run one trial of each row at a time; before the first one, all rows of the study are checked."""
    check = True
    while proposed := [(search, job) for search in searches if (job := search.propose()) is not None]:
        if waiting := unfinished([job for _, job in proposed]):
            run_jobs(waiting, check=check, check_too=others if check else ())
            check = False
        for search, job in proposed:
            search.add_result(job, trial_record(job))
