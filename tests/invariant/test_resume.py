"""A run that was interrupted and started again ends as if nothing had happened."""

from dataclasses import replace

import pytest
from transformers import TrainerState

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.evaluation import prediction
from hf_peft_compare.records.run_folder import CHECKPOINT_MARKER
from hf_peft_compare.training import run as training
from hf_peft_compare.training import trainer
from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint
from hf_peft_compare.training.trainer import TRAINABLES_FILE, ComparisonTrainer

EPOCHS = "training.num_train_epochs=3"  # of three steps each
KEYS = ("initial_trainables_sha256", "final_trainables_sha256", "history", "validation", "results", "parameters")


def numbers(record):
    """What must not depend on interruptions."""
    return {key: getattr(record, key) for key in KEYS} | {"tokens": record.throughput.num_train_tokens}


@pytest.fixture
def interrupt(monkeypatch):
    """`interrupt(after=N, error=…)`: raise once, at the beginning of optimizer step N + 1."""

    def install(*, after, error=KeyboardInterrupt):
        steps = []
        original = ComparisonTrainer.training_step

        def step(self, *args, **kwargs):
            steps.append(self.state.global_step)
            if len(steps) == after + 1:
                raise error("interrupted by the test")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(ComparisonTrainer, "training_step", step)
        return steps

    return install


@pytest.mark.parametrize("row", ["prompt_tuning", "lora", "last_layers", "p_tuning", "full"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(row, train, interrupt, tmp_path):
    whole = train(row, EPOCHS, folder="whole")
    steps = interrupt(after=4)
    with pytest.raises(KeyboardInterrupt):
        train(row, EPOCHS, folder="interrupted")
    assert latest_checkpoint(tmp_path / "interrupted/checkpoints").name == "checkpoint-3"
    resumed = train(row, EPOCHS, folder="interrupted")
    assert steps == [0, 1, 2, 3, 4, *range(3, 9)]  # it went on after the last checkpoint
    assert numbers(resumed) == numbers(whole)
    assert not (tmp_path / "interrupted/checkpoints").exists()


def test_a_run_interrupted_within_an_epoch_sees_the_same_examples(train, interrupt, tmp_path):
    settings = (
        EPOCHS,
        "training.eval_strategy=steps",
        "training.eval_steps=2",
        "training.early_stopping_patience=null",
        "training.logging_steps=5",
    )
    whole = train("lora", *settings, folder="whole")
    steps = interrupt(after=5)
    with pytest.raises(KeyboardInterrupt):
        train("lora", *settings, folder="interrupted")
    assert latest_checkpoint(tmp_path / "interrupted/checkpoints").name == "checkpoint-4"  # of three steps an epoch
    resumed = train("lora", *settings, folder="interrupted")
    assert steps[6:] == [4, 5, 6, 7, 8]
    assert numbers(resumed) == numbers(whole)


def test_a_failed_run_goes_on_from_its_checkpoint_too(train, interrupt):
    whole = train("lora", EPOCHS, folder="whole")
    steps = interrupt(after=7, error=ValueError)
    with pytest.raises(RunFailed, match="ValueError: interrupted by the test"):
        train("lora", EPOCHS, folder="interrupted")
    resumed = train("lora", EPOCHS, folder="interrupted")
    assert steps[8:] == [6, 7, 8]
    assert resumed.status == "finished"
    assert numbers(resumed) == numbers(whole)


def test_seconds_of_both_halves_are_added(train, interrupt, tmp_path):
    interrupt(after=4)
    with pytest.raises(KeyboardInterrupt):
        train("lora", EPOCHS, folder="interrupted")
    saved = TrainerState.load_from_json(str(tmp_path / "interrupted/checkpoints/checkpoint-3/trainer_state.json"))
    before = saved.stateful_callbacks["WallClock"]["attributes"]["seconds"]["train"]
    resumed = train("lora", EPOCHS, folder="interrupted")
    assert before > 0
    assert resumed.seconds.train > before


def test_a_checkpoint_cut_short_is_never_used(train, interrupt, tmp_path):
    whole = train("lora", EPOCHS, folder="whole")
    steps = interrupt(after=7)
    with pytest.raises(KeyboardInterrupt):
        train("lora", EPOCHS, folder="interrupted")
    newest = latest_checkpoint(tmp_path / "interrupted/checkpoints")
    assert newest.name == "checkpoint-6"
    (newest / CHECKPOINT_MARKER).unlink()
    (newest / TRAINABLES_FILE).write_bytes(b"cut")
    resumed = train("lora", EPOCHS, folder="interrupted")
    assert steps[8] == 3
    assert numbers(resumed) == numbers(whole)


@pytest.mark.parametrize("damaged", [[6], [3, 6]])
def test_after_damage_a_run_goes_on_from_the_checkpoint_before_or_begins_anew(damaged, train, interrupt, tmp_path):
    whole = train("lora", EPOCHS, folder="whole")
    steps = interrupt(after=7)
    with pytest.raises(KeyboardInterrupt):
        train("lora", EPOCHS, folder="interrupted")
    for step in damaged:
        (tmp_path / f"interrupted/checkpoints/checkpoint-{step}/optimizer.pt").write_bytes(b"")
    resumed = train("lora", EPOCHS, folder="interrupted")
    assert steps[8] == min(damaged) - 3
    assert numbers(resumed) == numbers(whole)
    assert all(f"step {step} was damaged" in note for step, note in zip(damaged, resumed.notes, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("training.num_train_epochs=2", id="all epochs done"),
        pytest.param("training={num_train_epochs: 6, early_stopping_patience: 1}", id="stopped early"),
    ],
)
def test_a_run_interrupted_after_training_does_not_train_on(settings, train, interrupt, monkeypatch):
    def set_validation_losses():
        losses = iter([1.0, 2.0, 3.0])
        monkeypatch.setattr(trainer, "_nats_per_label", lambda prediction: {"nats_per_label": next(losses)})

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    set_validation_losses()
    whole = train("lora", settings, folder="whole")
    assert whole.history[-1].step == 6  # two epochs of three steps, in both cases
    set_validation_losses()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prediction, "score_completions", fail)
        train("lora", settings, folder="interrupted")
    steps = interrupt(after=1000)
    resumed = train("lora", settings, folder="interrupted")
    assert steps == []
    assert numbers(resumed) == numbers(whole)


def test_a_trial_interrupted_after_it_was_given_up_does_not_train_on(tiny_study, interrupt, monkeypatch, tmp_path):
    config, origins = tiny_study("training.num_train_epochs=4").resolve(row="lora", seed=0)
    trial = replace(config, trial=0, stop_above=[1.5, 1.5])
    losses = iter([1.0, 2.0, 0.5, 0.5])
    monkeypatch.setattr(trainer, "_nats_per_label", lambda prediction: {"nats_per_label": next(losses)})

    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "load_trainables", fail)
        training.train_run(trial, origins, folder=tmp_path / "study/tuning/trial")
    steps = interrupt(after=1000)
    record = training.train_run(trial, origins, folder=tmp_path / "study/tuning/trial")
    assert steps == [] and record.validation.best_loss == 1.0
