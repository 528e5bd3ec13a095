"""`tune: auto`: a rate for each row that has none, within its budget, by trials that are replayed and not run again."""

import math
import shutil

import pytest
from trial_records import write_trial

from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.rate_search import (
    FINE_STEP,
    LEARNING_RATE,
    STEP,
    WHOLE,
    Costs,
    Sizes,
    rated_jobs,
    trial_seed,
)

SIZES = Sizes(train=960, validation=100)  # 8 in a batch and 2 epochs: 240 steps


@pytest.fixture
def search(tiny_study, tmp_path):
    """`search(loss, …)`: a study's jobs with the rates found, and its trials, with losses from a function."""

    def find(loss, methods, sizes=SIZES, seeds=(0,), first_loss=None, **keys):
        study = tiny_study(methods=methods, tune="auto", seeds=list(seeds), **keys)
        done, checked = [], []

        def run(jobs, check, check_too):
            checked.append([config.row for config in check_too])
            for job in jobs:
                done.append(job)
                write_trial(job, loss(job.config), seconds=10.0, first_loss=first_loss)

        def count(configs):
            return {config.row: sizes for config in configs}

        return rated_jobs(study, jobs_of(study, output_dir=tmp_path), run, count), done, checked

    return find


def bowl(best):
    """A loss of trials with its minimum above the best rate of a whole training."""
    return lambda config: 1 + math.log10(config.training.learning_rate * WHOLE / best) ** 2


def away(job, best):
    """Return the factor between a job's rate and the best one, at least 1."""
    return math.exp(abs(math.log(job.config.training.learning_rate / best)))


def cost(jobs):
    return sum(job.config.training.max_steps * 3 * 8 + SIZES.validation for job in jobs)


@pytest.mark.parametrize("best", [2e-6, 3e-5, 8e-5, 7e-4, 1e-3])
def test_the_rate_found_is_at_most_half_a_fine_step_from_the_best_wherever_that_lies(search, best):
    (job,), done, _ = search(bowl(best), {"full": {}})
    assert away(job, best) <= 1.01 * math.sqrt(FINE_STEP)
    assert job.origins[LEARNING_RATE] == "tuned"
    assert not job.tuning.at_edge
    assert cost(done) <= 1.5 * (240 * 3 * 8 + 2 * SIZES.validation)


@pytest.mark.parametrize(("lower", "is_slow"), [(1.088, True), (1.04, False)])
def test_a_lower_rate_that_was_only_too_slow_in_a_trial_is_one_for_the_whole_training(search, lower, is_slow):
    """The losses are those of full fine-tuning on MNLI, where one trial alone learned something."""

    def loss(config):
        return {0: 1.006, 1: 1.099, -1: lower}.get(place(config), 1.1)

    def place(config):
        return round(math.log(config.training.learning_rate / 2.8e-4) / math.log(FINE_STEP))

    (job,), done, _ = search(loss, {"full": {}}, first_loss=1.1)
    found, steps = job.tuning.trials[-1], done[-1].config.training.max_steps
    best = min(job.tuning.trials, key=lambda trial: trial.validation_loss).settings[LEARNING_RATE]
    assert found.steps == steps < 240 * WHOLE
    factor = steps / 240 if is_slow else WHOLE
    assert job.config.training.learning_rate == pytest.approx(factor * best, rel=0.01)


@pytest.mark.parametrize("best", [6e-5, 9e-5, 1.2e-4, 1.6e-4])
def test_a_loss_that_leaps_above_the_best_rate_does_not_drag_the_rate_down(search, best):
    """As that of LoRA does: the minimum of a parabola would be far below."""
    (job,), _, _ = search(lambda c: bowl(best)(c) + 9 * (c.training.learning_rate > 1.7 * best), {"full": {}})
    assert away(job, best) <= FINE_STEP


@pytest.mark.parametrize("best", [3e-5, 8e-5])
def test_where_validation_leaves_nothing_for_longer_trials_the_best_short_one_decides(search, best):
    (job,), done, _ = search(bowl(best), {"full": {}}, sizes=Sizes(train=960, validation=3000))
    assert len(done) == 3
    assert away(job, best) <= math.sqrt(STEP)


def test_rates_that_somebody_gave_are_kept_and_all_rows_are_checked_first(search):
    methods = {"lead": {}, "full": {}, "lora": {"r": 4, "training": {"learning_rate": 7e-4}}}
    jobs, done, checked = search(bowl(1e-4), methods)
    assert {job.config.row for job in done} == {"full"}
    assert {job.config.row: job.tuning is not None for job in jobs} == {"lead": False, "full": True, "lora": False}
    assert checked[0] == ["lead", "full", "lora"]
    assert not any(checked[1:])


def test_no_trial_has_a_seed_of_the_study(search):
    _, done, _ = search(bowl(1e-4), {"full": {}}, seeds=[0, 1, 20_011])
    assert {job.config.seed for job in done} == {20_012}
    assert trial_seed([0, 1]) == 20_011


def test_all_seeds_of_a_row_share_its_rate(search):
    jobs, _, _ = search(bowl(1e-4), {"full": {}}, seeds=[0, 1])
    assert len({job.config.training.learning_rate for job in jobs}) == 1
    assert len(jobs) == 2


def test_finished_trials_are_read_and_not_run_again(search):
    first, done, _ = search(bowl(1e-4), {"full": {}})
    again, nothing, _ = search(bowl(1.0), {"full": {}})
    assert done and nothing == []
    assert [job.config for job in again] == [job.config for job in first]


def test_an_interrupted_search_goes_on_where_it_stopped(search, tmp_path):
    """The trial that Ctrl-C ended has no record and runs again; those before it are read."""
    calls = []

    def interrupted(config):
        calls.append(config.run)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return bowl(1e-4)(config)

    with pytest.raises(KeyboardInterrupt):
        search(interrupted, {"full": {}})
    (job,), rest, _ = search(bowl(1e-4), {"full": {}})
    shutil.rmtree(tmp_path / "tiny")
    (whole,), all_trials, _ = search(bowl(1e-4), {"full": {}})
    assert calls[:2] + [trial.config.run for trial in rest] == [trial.config.run for trial in all_trials]
    assert job.config == whole.config and len(job.tuning.trials) == len(all_trials)


@pytest.mark.parametrize(("best", "at_edge"), [(1e6, True), (1e-9, True), (6e-3, False)])
def test_a_best_rate_beyond_all_tried_is_at_the_edge(search, best, at_edge):
    """The last: it is at the edge of the short trials, and inside of the long ones."""
    (job,), _, _ = search(bowl(best), {"full": {}})
    assert job.tuning.at_edge is at_edge


def test_failed_trials_lead_to_lower_rates(search):
    (job,), _, _ = search(lambda c: None if c.training.learning_rate > 4e-5 else bowl(1e-5)(c), {"full": {}})
    assert job.config.training.learning_rate == pytest.approx(1e-5, rel=0.5)
    assert any(trial.error == "RuntimeError: no luck" for trial in job.tuning.trials)


def test_a_row_whose_trials_all_fail_keeps_its_default(search):
    (job,), _, _ = search(lambda config: None, {"full": {}})
    assert job.tuning is None
    assert job.origins[LEARNING_RATE] == "method"


def test_trials_of_one_stage_have_the_same_steps_and_validate_once_at_their_end(search):
    (job,), done, _ = search(bowl(1e-4), {"full": {}})
    steps = [trial.steps for trial in job.tuning.trials]
    assert len(set(steps)) == 2 and steps == sorted(steps) and steps.count(steps[-1]) == 3
    assert all(one.config.training.eval_steps == one.config.training.max_steps for one in done)


def test_a_tiny_study_is_searched_whole(search):
    (job,), done, _ = search(bowl(1e-4), {"full": {}}, sizes=Sizes(train=8, validation=50))
    assert job.tuning is not None
    assert len(done) >= 3


def test_the_evaluations_of_a_large_validation_split_leave_fewer_and_shorter_trials(tiny_study):
    config, _ = tiny_study(methods={"full": {}}).resolve(row="full", seed=0)
    small, large = (Costs.of(config, Sizes(train=960, validation=size)) for size in (10, 2000))
    assert large.fine_steps(3) < small.fine_steps(3)


def test_a_training_that_validates_often_has_no_trial_longer_than_half_of_it(tiny_study):
    config, _ = tiny_study(methods={"full": {}}, training={"eval_strategy": "steps", "eval_steps": 1}).resolve(
        row="full", seed=0
    )
    costs = Costs.of(config, Sizes(train=960, validation=100))
    assert costs.fine_steps(3) == costs.num_steps // 2


def test_real_trials_train_and_validate_and_a_finished_study_runs_nothing_again(tiny_study, tmp_path):
    from hf_peft_compare.orchestration.study_run import do_study
    from hf_peft_compare.records.record import read_record

    methods = {"lead": {}, "lora": {"r": 4}}
    study = tiny_study(methods=methods, tune="auto", seeds=[0], training={"num_train_epochs": 1})
    assert do_study(study, output_dir=tmp_path) == {"lead-seed0": "finished", "lora-seed0": "finished"}
    record = read_record(tmp_path / "tiny" / "lora-seed0")
    assert record.config["training"]["learning_rate"] == record.tuning.best_settings[LEARNING_RATE]
    trials = [read_record(folder) for folder in sorted((tmp_path / "tiny" / "tuning").glob("lora-trial*"))]
    assert len(trials) == len(record.tuning.trials) >= 3
    assert all(trial.finished and trial.validation and trial.results == {} for trial in trials)
    assert do_study(study, output_dir=tmp_path) == {"lead-seed0": "skipped", "lora-seed0": "skipped"}
