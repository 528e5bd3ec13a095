"""Trials of a row that are proposed, and can run, at the same time: in rounds, whichever of them ends first."""

import shutil
from dataclasses import replace
from math import log10

import pytest
from trial_records import write_trial
from tuning_simulation import Setting, simulate

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.jobs import jobs_of, unfinished
from hf_peft_compare.orchestration.tuning import tuned_jobs
from hf_peft_compare.records.record import read_record, record_of, write_record


def rate(config):
    return config.training.learning_rate


def far_from(best):
    """A loss that grows with the distance of the learning rate from the best one, in orders of magnitude."""
    return lambda config: abs(log10(rate(config) / best))


def at_once(done):
    """The numbers of the trials of each call, of one row."""
    return [[job.config.trial for job in jobs] for jobs in done]


@pytest.fixture
def rounds(tiny_study, tmp_path):
    """`rounds(loss, …)`: the tuned job of one row, and the jobs of each call to run them, which run in any order."""

    def tune(loss, shuffled=False, seconds=30.0, killed_after=None, **tune_keys):
        study = tiny_study(methods={"full": {}}, tune={"budget": "8 trials", "parallel_trials": 4, **tune_keys})
        calls = []

        def run(jobs, check):
            calls.append(jobs)
            for number, job in enumerate(reversed(jobs) if shuffled else jobs):
                if number == killed_after:
                    raise KeyboardInterrupt
                write_trial(job, loss(job.config), seconds=seconds)

        (job,) = tuned_jobs(study, jobs_of(study, output_dir=tmp_path), run)
        return job, calls

    return tune


def test_so_many_trials_of_a_row_run_at_once(rounds):
    job, calls = rounds(far_from(5e-5))
    assert at_once(calls) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    rates = [{rate(job.config) for job in call} for call in calls]
    assert len(rates[0]) == 4 and len(rates[1]) >= 3  # two may be the same when rounded to two digits
    assert job.tuning.parallel_trials == 4


def test_proposals_do_not_depend_on_which_trial_of_a_round_ends_first(rounds, tmp_path):
    first, calls = rounds(far_from(5e-5))
    shutil.rmtree(tmp_path / "tiny")
    second, others = rounds(far_from(5e-5), shuffled=True)
    assert [[job.config for job in call] for call in others] == [[job.config for job in call] for call in calls]
    assert second.config == first.config and second.tuning == first.tuning


@pytest.mark.parametrize("shuffled", [False, True])
def test_finished_trials_of_an_interrupted_round_are_not_run_again(rounds, tmp_path, shuffled):
    undisturbed, _ = rounds(far_from(5e-5))
    shutil.rmtree(tmp_path / "tiny")
    with pytest.raises(KeyboardInterrupt):
        rounds(far_from(5e-5), killed_after=1, shuffled=shuffled)
    resumed, calls = rounds(far_from(5e-5))
    assert at_once(calls) == [[0, 1, 2] if shuffled else [1, 2, 3], [4, 5, 6, 7]]
    assert resumed.tuning == undisturbed.tuning


def test_of_minutes_no_more_trials_run_at_once_than_fit_into_what_is_left(rounds):
    job, calls = rounds(far_from(5e-5), budget="3 minutes", seconds=40.0)
    assert at_once(calls) == [
        [0],
        [1, 2, 3, 4],
    ]  # how long one takes is known after the first; 200 s: one over, as ever
    _, calls = rounds(far_from(5e-5), budget="3 minutes", seconds=80.0, seed=7)
    assert at_once(calls) == [[0], [1, 2]]
    assert job.tuning.seconds == 200


def test_minutes_end_after_a_few_trials_that_take_no_time_and_fail(rounds):
    with pytest.raises(UserError, match="every tuning trial of full failed"):
        rounds(lambda config: None, budget="3 minutes", seconds=0.0)


def test_trials_are_pruned_by_those_of_earlier_rounds(rounds):
    _, calls = rounds(far_from(5e-5), prune=True)
    losses = sorted(far_from(5e-5)(job.config) for job in calls[0])
    assert [job.config.stop_above for job in calls[0]] == [[]] * 4
    assert [job.config.stop_above for job in calls[1]] == [[pytest.approx((losses[1] + losses[2]) / 2)]] * 4


def test_an_extended_range_has_as_many_trials_whatever_runs_at_once(rounds):
    job, calls = rounds(far_from(1.0), parallel_trials=3)
    assert at_once(calls) == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    assert job.tuning.widened is not None


def test_more_at_once_than_there_are_trials_is_refused(tiny_study):
    with pytest.raises(UserError, match=r"tune.parallel_trials is 9, but a row has 8 trials; set it to 8 or less"):
        tiny_study(tune={"budget": "8 trials", "parallel_trials": 9})
    assert tiny_study(tune={"budget": "8 minutes", "parallel_trials": 9}).config.tune.parallel_trials == 9


def test_the_record_of_a_finished_run_keeps_up_with_its_tuning(rounds, tmp_path):
    job, _ = rounds(far_from(2e-5))  # the row's own rate
    job.prepare()
    write_record(replace(record_of(job.config, job.origins, error=None), tuning=job.tuning), job.folder)
    again, _ = rounds(far_from(2e-5), parallel_trials=2)
    assert again.config == job.config and again.tuning != job.tuning
    assert unfinished([again]) == []
    assert read_record(again.folder).tuning.parallel_trials == 2


def test_trials_at_a_time_cost_little_on_a_smooth_loss():
    """A small edition of `tuning_simulation.py`."""
    found = [simulate(Setting(shape="bowl", with_rank=False, num_trials=8, parallel=4), seed=seed) for seed in range(4)]
    assert max(one.distance for one in found) < 0.5 and sum(one.excess for one in found) / 4 < 0.01
