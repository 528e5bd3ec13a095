"""Phases, and what is measured by them: the four clocks and the peaks of CUDA memory."""

from transformers import TrainerControl

from hf_peft_compare.training import run as training
from hf_peft_compare.training.callbacks.phases import EVALUATION, SAVE, TRAIN, PhaseCallback
from hf_peft_compare.training.trainer import make_trainer


class Phases(PhaseCallback):
    """Write the phases down."""

    def __init__(self):
        self.seen = []

    def enter(self, phase):
        self.seen.append(phase)

    def state(self):
        return {"args": {}, "attributes": {"seen": self.seen}}


def test_evaluation_and_saving_are_no_training():
    phases = Phases()
    step = TrainerControl()
    epoch = TrainerControl(should_evaluate=True, should_save=True)
    save_alone = TrainerControl(should_save=True)
    phases.on_train_begin(None, None, step)
    phases.on_step_end(None, None, step)
    phases.on_epoch_end(None, None, epoch)
    phases.on_evaluate(None, None, epoch)
    phases.on_save(None, None, epoch)
    phases.on_step_end(None, None, save_alone)
    phases.on_save(None, None, save_alone)
    phases.on_train_end(None, None, step)
    assert phases.seen == [TRAIN, EVALUATION, SAVE, TRAIN, SAVE, TRAIN, None]


def test_phases_of_a_real_run_come_in_this_order(train, monkeypatch):
    phases = Phases()
    original = make_trainer

    def with_phases(run, built, encoded, *, extra=(), **kwargs):
        return original(run, built, encoded, extra=[*extra, phases], **kwargs)

    monkeypatch.setattr(training, "make_trainer", with_phases)
    train("lora")
    assert phases.seen == [TRAIN, *[EVALUATION, SAVE, TRAIN] * 2, None]  # two epochs
