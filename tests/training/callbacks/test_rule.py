"""A training rule is followed: started with the number of steps, and told of each while its gradients are there."""

from hf_peft_compare.core.training_rule import TrainingRule
from hf_peft_compare.methods.lora import Lora
from hf_peft_compare.training.trainer import ComparisonTrainer


class Noting(TrainingRule):
    def __init__(self):
        self.calls = []

    def prepare(self, model, batches):
        self.calls.append(("prepare", len(batches)))

    def start(self, model, num_steps):
        self.calls.append(("start", num_steps))

    def after_step(self, model, step):
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        self.calls.append(("step", step))

    def finish(self, model):
        self.calls.append(("finish",))
        return "What the rule found."


def test_a_rule_is_called_in_order_and_its_note_is_recorded(train, monkeypatch):
    rule = Noting()
    monkeypatch.setattr(Lora, "training_rule", lambda self, settings: rule)
    record = train("lora", "training.num_train_epochs=1", "training.gradient_accumulation_steps=2")
    assert rule.calls == [("prepare", 3), ("start", 3), ("step", 1), ("step", 2), ("step", 3), ("finish",)]
    assert "What the rule found." in record.notes


def test_a_rule_that_does_nothing_changes_nothing(train, monkeypatch):
    plain = train("lora", "training.num_train_epochs=1", folder="plain")
    monkeypatch.setattr(Lora, "training_rule", lambda self, settings: TrainingRule())
    ruled = train("lora", "training.num_train_epochs=1", folder="ruled")
    assert ruled.final_trainables_sha256 == plain.final_trainables_sha256
    assert ruled.history == plain.history


def test_most_methods_have_no_rule(train, monkeypatch):
    rules = []
    monkeypatch.setattr(ComparisonTrainer, "training_step", lambda self, *a, **k: rules.append(self.rule) or 1 / 0)
    try:
        train("lora")
    except Exception as error:
        assert "ZeroDivisionError" in str(error)
    assert type(rules[0]) is TrainingRule
