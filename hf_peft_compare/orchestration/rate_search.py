"""`tune: auto`: find a learning rate for every trained row that nobody has given one, on validation loss.

A search costs at most one and a half times the row's own training, counted in forward passes of an example (a train
step costs three). All trials of a stage have the same number of steps and their own full schedule:

1. Bracket: trials of a twelfth of the steps, started at the method's default and one half order of magnitude above.
   While the best lies at the edge of what was tried, the range goes on there.
2. Refine: three longer trials around the best, in steps of a factor of two, with all that is left of the budget.

The best rate of a stage is the minimum of the parabola through the best trial and its neighbours, over the logarithm of
the rate. In trainings below a third of the row's, it lies near rates that diverge, however long they are; from there
to the whole it falls with a power of the number of steps. Theory has the root (Defazio et al. 2023, Optimal Linear
Decay Learning Rate Schedules), long pretraining .32 (Bjorck et al. 2024, Scaling Optimal LR Across Token Horizons); in
trainings of a few hundred steps the best rate at the end was 1.1 to .3 times that at a third. The power of .25 errs to
the higher side, where the best validation state is kept. benchmarks/RESULTS.md has what the search loses.

Trials have a seed that is no seed of the study, so that no run is the trial that was selected. The same study proposes
the same trials again: those that have a record are read, not run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.config.study import Study
from hf_peft_compare.orchestration.jobs import Job, unfinished
from hf_peft_compare.orchestration.trials import LEARNING_RATE, trial_job, trial_of, trial_record, with_best
from hf_peft_compare.planning.tuning_costs import AUTO_SHARE
from hf_peft_compare.records.record import RunRecord
from hf_peft_compare.records.tuning import SearchRange, Trial, Tuning

TRAIN_COST = 3  # forward passes that a train step costs
STEP = math.sqrt(10)  # between the rates of the bracket
FINE_STEP = 2.0  # between the rates of the second stage
MIN_BRACKET, MAX_BRACKET, NUM_FINE = 3, 6, 3
HORIZON = 0.25  # the best rate falls with this power of the number of steps, from the share on that follows
SHORT = 1 / 3  # of a training: the best rate of shorter ones is the same
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
        """Return the steps that a trial of the second stage can have after so many trials of the first."""
        left = self.budget - num_bracket * self.of_trial(self.bracket_steps) - NUM_FINE * self.evaluation
        return min(int(left / (NUM_FINE * self.step)), self.num_steps)


@dataclass
class RateSearch:
    """The trials of one row so far."""

    base: Job
    costs: Costs
    seed: int
    trials: list[Trial] = field(default_factory=list)
    _bracket: dict[int, float] = field(default_factory=dict)  # {half orders of magnitude from the start: loss}
    _fine: list[tuple[float, float]] = field(default_factory=list)  # (rate, loss)

    def propose(self) -> Job | None:
        """Return the job of the next trial; None: the search is over."""
        place = self._next_place()
        if place is not None:
            return self._job(self._rate(place), self.costs.bracket_steps)
        if self._fine_steps and len(self._fine) < NUM_FINE:
            return self._job(self._fine_rates()[len(self._fine)], self._fine_steps)
        return None

    def add_result(self, job: Job, record: RunRecord | None) -> None:
        """Add a trial's result; a failed trial is never the best."""
        rate, place = job.config.training.learning_rate, self._next_place()
        trial = trial_of({LEARNING_RATE: rate}, record, steps=job.config.training.max_steps)
        loss = math.inf if trial.validation_loss is None else trial.validation_loss
        if place is not None:
            self._bracket[place] = loss
        else:
            self._fine.append((rate, loss))
        self.trials.append(trial)

    def result(self) -> Tuning | None:
        """Return the rate found and its trials; None if every trial failed."""
        if all(trial.validation_loss is None for trial in self.trials):
            return None
        rates = [trial.settings[LEARNING_RATE] for trial in self.trials]
        return Tuning(
            budget=f"{AUTO_SHARE:g} × one training",
            space={LEARNING_RATE: SearchRange(low=min(rates), high=max(rates))},
            widened=None,
            best_settings={LEARNING_RATE: self._best_rate()},
            at_edge=self._best_place in (min(self._bracket), max(self._bracket)),
            seconds=sum(trial.seconds for trial in self.trials),
            trials=self.trials,
        )

    def _next_place(self) -> int | None:
        """Return the next rate of the bracket; None: the best lies inside of it, or the budget allows no more."""
        for place in (0, 1):
            if place not in self._bracket:
                return place
        tried = len(self._bracket)
        enough_left = self.costs.fine_steps(tried + 1) >= self.costs.bracket_steps
        if tried >= MAX_BRACKET or (tried >= MIN_BRACKET and not enough_left):
            return None
        if self._best_place == max(self._bracket):
            return self._best_place + 1
        return self._best_place - 1 if self._best_place == min(self._bracket) else None

    @property
    def _best_place(self) -> int:
        """The place with the lowest loss, of equal ones the lower rate: too high a rate is what makes trials fail."""
        return min(self._bracket, key=lambda place: (self._bracket[place], place))

    @property
    def _fine_steps(self) -> int:
        """The steps of a trial of the second stage; 0: there is too little left for longer trials."""
        steps = self.costs.fine_steps(len(self._bracket))
        return steps if 2 * steps >= 3 * self.costs.bracket_steps else 0

    def _rate(self, place: int) -> float:
        return self.base.config.training.learning_rate * STEP**place

    def _fine_rates(self) -> list[float]:
        middle = self._bracket_rate()
        return [middle, middle / FINE_STEP, middle * FINE_STEP]

    def _bracket_rate(self) -> float:
        """Return the best rate of the first stage."""
        best = self._best_place
        near = [place for place in (best - 1, best, best + 1) if math.isfinite(self._bracket.get(place, math.inf))]
        return _minimum([(self._rate(place), self._bracket[place]) for place in near or [best]])

    def _best_rate(self) -> float:
        """Return the rate for the whole training, rounded to three digits."""
        finite = sorted((rate, loss) for rate, loss in self._fine if math.isfinite(loss))
        rate, steps = (_minimum(finite), self._fine_steps) if finite else (self._bracket_rate(), 0)
        return float(f"{rate * max(steps / self.costs.num_steps, SHORT) ** HORIZON:.3g}")

    def _job(self, rate: float, steps: int) -> Job:
        own = self.base.config
        training = replace(own.training, max_steps=steps, eval_strategy="steps", eval_steps=steps)
        short = replace(self.base, config=replace(own, training=training))
        rate = float(f"{rate:.3g}")
        return trial_job(short, {LEARNING_RATE: rate}, seed=self.seed, number=len(self.trials))


def _minimum(points: Sequence[tuple[float, float]]) -> float:
    """Return the rate at the minimum of the parabola through three points over log rate, not beyond the outer ones.

    Fewer points, or points in which the middle is not below the line through the others: the best of them.
    """
    best = min(points, key=lambda point: point[1])[0]
    if len(points) < NUM_FINE:
        return best
    (low, a), (middle, b), (high, c) = points
    curvature = a - 2 * b + c
    if curvature <= 0:
        return best
    rate = middle * (high / middle) ** (0.5 * (a - c) / curvature)
    return min(max(rate, low), high)


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
