"""Entries: a method, task or metric is one file, found by its name, torch-free at import, with a full card."""

import subprocess
import sys

import pytest

from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.registry import METHODS, METRICS, TASKS, get_method, get_metric, get_task


def test_the_methods_of_the_main_study_are_there():
    assert {"lead", "zero_shot", "prompt_tuning", "last_layers", "lora", "full", "peft"} <= set(METHODS.entries)


@pytest.mark.parametrize("name", METHODS.entries)
def test_a_method_has_a_full_card_and_defaults(name):
    method = get_method(name)
    assert method.name == name
    assert method.title
    assert all(value for name, value in vars(method.card).items() if name != "theory")
    assert method.card.url.startswith("https://")
    assert method.trains == bool(method.training_defaults)
    assert method.uses_model or not method.trains


@pytest.mark.parametrize("name", METRICS.entries)
def test_a_metric_gives_exactly_the_scores_it_declares(name):
    metric = get_metric(name)
    scores = metric.compute(["a b c", "d"], ["a b", "d"])
    assert list(scores) == [score.name for score in metric.scores]
    assert all(len(values) == 2 for values in scores.values())
    assert all(score.title and score.unit for score in metric.scores)


@pytest.mark.parametrize("name", TASKS.entries)
def test_a_task_names_metrics_that_exist(name):
    assert [get_metric(metric).name for metric in get_task(name).metrics]


@pytest.mark.parametrize(
    ("get", "came", "nearest"),
    [
        (get_method, "lorra", "lora"),
        (get_task, "summarisation", "summarization"),
        (get_metric, "rogue", "rouge"),
    ],
)
def test_an_unknown_name_is_a_user_error_that_names_the_nearest(get, came, nearest):
    with pytest.raises(UserError, match=f"Did you mean '{nearest}'"):
        get(came)


def test_an_unknown_name_like_no_other_lists_what_there_is():
    assert str(unknown("fruit", "xyz", ["pear", "apple"])) == "unknown fruit 'xyz'. Valid: apple, pear."


def test_reading_all_entries_and_studies_needs_no_torch():
    code = (
        "import sys\n"
        "from hf_peft_compare import load_study\n"
        "from hf_peft_compare.core.registry import REGISTRIES\n"
        "assert all(registry.entries for registry in REGISTRIES)\n"
        "list(load_study('gpt2-cnn-dailymail').resolve_all())\n"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'evaluate', 'wandb'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Nearly(Method):
    """A method without what is loaded again."""

    name, title, card, settings = "nearly", "Nearly", get_method("lora").card, dict

    def build(self, base, settings, tokenizer):
        """Build nothing."""

    def save(self, model, folder):
        """Save nothing."""


class Whole(Nearly):
    """The same, and whole."""

    name = "whole"

    def load(self, base, folder, settings):
        """Load nothing."""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Nearly, r"method Nearly \(registered\) lacks method load\. See"),
        (int, "int .* is no Method"),
    ],
)
def test_what_is_registered_must_be_whole(entry, message, monkeypatch):
    monkeypatch.setattr(registry.METHODS, "entries", dict(METHODS))
    with pytest.raises(UserError, match=message):
        registry.register_method(entry)
    assert registry.METHODS.entries == METHODS


def test_an_instance_is_registered_as_it_is(monkeypatch):
    monkeypatch.setattr(registry.METHODS, "entries", dict(METHODS))
    whole = Whole()
    registry.register_method(whole)
    assert get_method("whole") is whole
