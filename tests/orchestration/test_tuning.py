"""Equal-budget tuning: the same number of trials for every row, chosen on validation, replayed and not run again."""

import io
import shutil
from functools import partial

import pytest
from rich.console import Console
from trial_records import write_trial

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.method import Choices, Range
from hf_peft_compare.core.registry import METHODS
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.launcher import run_jobs
from hf_peft_compare.orchestration.progress_display import ProgressDisplay
from hf_peft_compare.orchestration.tuning import LEARNING_RATE, tuned_jobs
from hf_peft_compare.records.record import read_record

ROWS = {"full": {}, "lora": {"r": 4}, "lead": {}}


@pytest.fixture
def tuning(tiny_study, tmp_path):
    """`tuning(loss, …)`: a study's tuned jobs and its trials, with validation losses from a function."""

    def tune(loss, budget="4 trials", methods=ROWS, **tune_keys):
        study = tiny_study(methods=methods, tune={"budget": budget, **tune_keys})
        done = []

        def run(jobs, check):
            for job in jobs:
                done.append(job)
                write_trial(job, loss(job.config), seconds=30.0)

        return tuned_jobs(study, jobs_of(study, output_dir=tmp_path), run), done

    return tune


def rate(config):
    return config.training.learning_rate


def far_from(best):
    """A loss that grows with the distance of the learning rate from the best one, in orders of magnitude."""
    from math import log10

    return lambda config: abs(log10(rate(config) / best))


def by_row(jobs):
    return {row: [job for job in jobs if job.config.row == row] for row in ROWS}


def test_every_row_that_trains_gets_the_same_number_of_trials(tuning):
    tuned, done = tuning(far_from(3e-4))
    assert {row: len(jobs) for row, jobs in by_row(done).items()} == {"full": 4, "lora": 4, "lead": 0}
    assert all(job.config.trial is not None for job in done)
    assert [job.config.row for job in done[:2]] == ["full", "lora"]  # in the study's order, a trial of each at a time
    assert {job.config.row: job.tuning is not None for job in tuned} == {"full": True, "lora": True, "lead": False}


def test_all_trials_have_the_seed_of_the_tuning(tuning):
    _, done = tuning(far_from(3e-4), seed=7)
    assert {job.config.seed for job in done} == {7}


def test_the_first_trial_has_the_rows_own_settings(tuning):
    _, done = tuning(far_from(3e-4), methods={"lora": {"r": 4, "training": {"learning_rate": 7e-4}}})
    assert rate(done[0].config) == 7e-4
    assert len({rate(job.config) for job in done}) == 4


def test_the_run_has_the_settings_of_the_lowest_validation_loss(tuning):
    tuned, done = tuning(far_from(3e-4))
    for row in ("full", "lora"):
        best = min(by_row(done)[row], key=lambda job: far_from(3e-4)(job.config))
        (job,) = by_row(tuned)[row]
        assert rate(job.config) == rate(best.config) == job.tuning.best_settings[LEARNING_RATE]
        assert job.config.trial is None
        assert job.origins[LEARNING_RATE] == "tuned"
        assert job.tuning.seconds == 4 * 30


def test_the_same_study_proposes_the_same_trials_and_runs_none_twice(tuning):
    first, done = tuning(far_from(3e-4))
    again, nothing = tuning(far_from(1.0))  # the losses are read from existing records, not computed again
    assert nothing == []
    assert [job.config for job in again] == [job.config for job in first]
    assert len(done) == 8


@pytest.mark.parametrize("best", [3e-6, 2e-5, 7e-5, 4e-4, 2e-3])
def test_a_few_noisy_trials_come_near_the_best_rate(tuning, best):
    def loss(config):
        return 0.6 + 0.05 * far_from(best)(config) ** 2 + 0.002 * (-1) ** config.trial

    (job,), _ = tuning(loss, budget="8 trials", methods={"full": {}})
    assert far_from(best)(job.config) < 0.35  # the range is 3.7 orders of magnitude long


def test_losses_equal_but_for_rounding_propose_the_same_trials(tuning, tmp_path):
    def rates(shift):
        shutil.rmtree(tmp_path / "tiny", ignore_errors=True)
        _, done = tuning(lambda config: far_from(3e-4)(config) ** 2 + shift * rate(config), budget="6 trials")
        return [rate(job.config) for job in done]

    assert rates(1e-4) == rates(0)  # at most 5e-7, as one number of threads differs from another


def test_a_winner_at_the_edge_widens_the_range_once(tuning):
    (job,), done = tuning(far_from(1.0), budget="6 trials", methods={"full": {}})  # the range ends at 5e-3
    assert len(done) == 8  # a quarter more trials
    assert rate(done[-1].config) > 5e-3
    assert (job.tuning.widened.low, job.tuning.widened.high) == (5e-3, pytest.approx(5e-2))
    assert rate(job.config) == rate(done[-1].config)


def test_a_winner_inside_its_range_widens_nothing(tuning):
    (job,), done = tuning(far_from(5e-5), methods={"full": {}})
    assert (len(done), job.tuning.widened, job.tuning.at_edge) == (4, None, False)


def test_a_failed_trial_is_never_the_best(tuning):
    (job,), done = tuning(lambda config: None if config.trial == 0 else far_from(3e-4)(config), methods={"full": {}})
    assert job.tuning.trials[0].error == "RuntimeError: no luck"
    assert rate(job.config) != rate(done[0].config)


def test_if_every_trial_fails_the_error_names_the_reason(tuning):
    with pytest.raises(UserError, match="every tuning trial of full failed: RuntimeError: no luck"):
        tuning(lambda config: None, methods={"full": {}})


def test_a_budget_of_minutes_ends_when_they_are_spent(tuning):
    _, done = tuning(far_from(3e-4), budget="2 minutes", methods={"full": {}})  # each trial takes half a minute
    assert len(done) == 4


def test_pruned_trials_have_to_stay_below_the_median(tuning):
    _, done = tuning(far_from(3e-4), budget="5 trials", prune=True, methods={"full": {}})
    losses = sorted(far_from(3e-4)(job.config) for job in done[:3])
    assert [job.config.stop_above for job in done[:3]] == [[], [], []]
    assert done[3].config.stop_above == [losses[1]]


def test_an_unknown_setting_is_a_user_error(tuning):
    for key in ("r", "training.rate"):
        with pytest.raises(UserError, match=f"full has no setting '{key}'"):
            tuning(far_from(3e-4), methods={"full": {}}, parameters={"full": {key: [1, 2]}})


@pytest.mark.parametrize("budget", ["8", "0 trials", "many trials", "8 epochs"])
def test_a_budget_is_trials_or_minutes(budget, tiny_study):
    with pytest.raises(UserError, match="tune.budget"):
        tiny_study(tune={"budget": budget})


def test_places_are_on_the_ranges_own_scale():
    assert Range(low=1e-4, high=1e-2).place(1e-3) == pytest.approx(0.5)
    assert Range(low=0, high=4, log=False).place(1) == 0.25
    assert Choices(values=(1, 2)).holds(2) and not Choices(values=(1, 2)).holds(3)


def test_trials_train_and_validate_and_never_see_the_test_split(tiny_study, tmp_path):
    study = tiny_study(methods={"lora": {"r": 4}}, tune={"budget": "2 trials"}, training={"num_train_epochs": 1})
    with ProgressDisplay(Console(file=(shown := io.StringIO()))) as display:
        jobs = tuned_jobs(study, jobs_of(study, output_dir=tmp_path), partial(run_jobs, on_event=display))
    assert "lora-trial00 validation loss" in shown.getvalue()
    trials = [read_record(folder) for folder in sorted((tmp_path / "tiny" / "tuning").glob("lora-trial*"))]
    assert len(trials) == 2
    assert all(trial.finished and trial.validation and trial.results == {} for trial in trials)
    assert not list((tmp_path / "tiny" / "tuning").glob("*/model"))
    assert run_jobs(jobs) == {"lora-seed0": "finished"}
    record = read_record(tmp_path / "tiny" / "lora-seed0")
    best = min(trials, key=lambda trial: trial.validation.best_loss)
    assert record.config["training"]["learning_rate"] == best.config["training"]["learning_rate"]
    assert {trial.config["seed"] for trial in trials} == {study.config.tune.seed} != {record.config["seed"]}
    assert record.validation.best_loss != best.validation.best_loss  # a run of its own, not the trial again
    assert record.tuning.seconds == pytest.approx(sum(trial.seconds.total for trial in trials))
    assert record.results["test_loss"]


def test_a_seed_of_the_study_is_refused_for_its_trials(tiny_study):
    with pytest.raises(UserError, match=r"tune.seed is 1, one of seeds \[0, 1\].*remove tune.seed"):
        tiny_study("seeds=[0, 1]", tune={"budget": "2 trials", "seed": 1})


def test_every_method_that_trains_has_a_range_of_learning_rates():
    for method in METHODS.entries.values():
        rates = method.tunables.get(LEARNING_RATE)
        assert isinstance(rates, Range) is method.trains
        if method.trains:
            assert 0 < rates.place(method.training_defaults["learning_rate"]) < 1
            assert next(iter(method.tunables)) == LEARNING_RATE


def test_one_run_alone_uses_the_best_settings_or_reports_that_there_are_none(tiny_study, tmp_path, capsys):
    from hf_peft_compare.cli.main import main

    tiny_study(methods={"full": {}}, tune={"budget": "1 trial"}, training={"num_train_epochs": 1})
    command = ["train", str(tmp_path / "tiny.yaml"), "--method", "full", "--output-dir", str(tmp_path / "runs")]
    assert main(command) == 2
    assert "full is not tuned yet" in capsys.readouterr().err
    assert main([*command, "--set", "tune=null"]) == 0
