"""Entries: a method, task or metric is one file, found by its name, torch-free at import, with a full card."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import hf_peft_compare
from hf_peft_compare.config.identity import identity_of
from hf_peft_compare.core import registry
from hf_peft_compare.core.errors import UserError, unknown
from hf_peft_compare.core.method import Method
from hf_peft_compare.core.metric import Metric
from hf_peft_compare.core.registry import (
    METHODS,
    METRICS,
    TASKS,
    choose_metrics,
    get_method,
    get_metric,
    get_task,
    register_method,
    register_metric,
)


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


def test_what_is_registered_is_found_by_its_name():
    class Own(type(get_metric("accuracy"))):
        name = "own"

    register_metric(Own)
    assert isinstance(get_metric("own"), Own)


def test_an_instance_is_registered_as_it_is():
    class Own(type(get_method("full"))):
        name = "own"

    own = Own()
    register_method(own)
    assert get_method("own") is own


@pytest.mark.parametrize(
    ("register", "entry", "words"),
    [
        (register_method, int, "method int (registered) is not a Method"),
        (register_method, type("Bare", (Method,), {"name": "bare"}), "method Bare (registered) lacks attribute title"),
        (register_metric, type("Idle", (Metric,), {"name": "i", "scores": ()}), "(registered) lacks method compute"),
        (
            register_method,
            type("Odd", (type(get_method("full")),), {"settings": {"r": 1}}),
            "has settings {'r': 1}; expected a frozen dataclass",
        ),
        (
            register_method,
            type("Eager", (type(get_method("full")),), {"__init__": lambda self, rank: None}),
            "cannot be created without arguments: TypeError",
        ),
    ],
)
def test_what_cannot_be_registered_is_named_with_the_reason(register, entry, words):
    with pytest.raises(UserError) as caught:
        register(entry)
    assert words in str(caught.value)


def test_a_section_is_registered_beside_those_of_the_package():
    from hf_peft_compare.report.sections import SECTIONS

    hf_peft_compare.register_section(replace(SECTIONS.get("verdict"), name="second_verdict"))
    assert {"verdict", "second_verdict"} <= set(SECTIONS.entries)


def test_every_export_is_there_and_none_but_two_needs_torch():
    code = (
        "import sys, hf_peft_compare\n"
        "for name in set(hf_peft_compare.__all__) - {'PromptTuningModel', 'load_run'}:\n"
        "    getattr(hf_peft_compare, name)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(getattr(hf_peft_compare, name) for name in hf_peft_compare.__all__)


def test_a_study_chooses_metrics_with_their_settings():
    plain, strict = choose_metrics(["rouge", {"exact_match": {"ignore_case": False}}])
    assert plain is get_metric("rouge")
    assert strict.compute(["A"], ["a"]) == {"exact_match": [0.0]}
    assert get_metric("exact_match").compute(["A"], ["a"]) == {"exact_match": [1.0]}


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (["rogue"], "Did you mean 'rouge'"),
        ([{"rouge": {"stem": True}}], "metric rouge has no settings, but the study sets stem"),
        ([{"exact_match": {"ignore_cases": True}}], "metric exact_match: unknown key 'ignore_cases'. Did you mean"),
        ([{"exact_match": {"ignore_case": "maybe"}}], "metric exact_match: ignore_case is 'maybe'"),
        (["squad", "exact_match"], "metrics squad and exact_match both have the score exact_match; name one"),
        (["rouge", "rouge"], "metrics rouge and rouge both have"),
    ],
)
def test_metrics_that_cannot_be_chosen_are_named_with_the_reason(choices, words):
    with pytest.raises(UserError) as caught:
        choose_metrics(choices)
    assert words in str(caught.value)


ENTRY_POINTS = "[hf_peft_compare.metrics]\nbrief_answer = my_metrics:BriefAnswer\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed distribution with a metric, laid out as pip does, in a path of modules of its own."""
    example = Path(__file__).parents[2] / "examples/add_a_metric.py"
    (tmp_path / "my_metrics.py").write_text(example.read_text())
    info = tmp_path / "my_metrics-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-metrics\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)

    def forget():
        registry._entry_points.cache_clear()
        vars(METRICS).pop("_found", None)

    forget()
    yield
    monkeypatch.undo()
    forget()


def test_a_metric_of_an_installed_package_is_named_in_a_study(installed, tiny_study):
    task = {"name": "instruction_tuning", "prompt_column": "article", "completion_column": "highlights"}
    task["metrics"] = [{"brief_answer": {"max_words": 2}}, "exact_match"]
    study = tiny_study(task=task, methods={"lora": {}})
    config, _ = study.resolve(row="lora", seed=0)
    brief, exact = config.metrics
    assert brief.compute(["It is 5", "5 it", "6"], ["5", "5", "5"]) == {"brief_answer": [0, 1, 0]}
    assert exact is get_metric("exact_match")
    assert "code of metric brief_answer" in identity_of(config).inputs
    with pytest.raises(UserError, match="metric brief_answer: unknown key 'words'"):
        _ = tiny_study(task={**task, "metrics": [{"brief_answer": {"words": 2}}]}).config.metrics


def test_without_the_package_its_metric_is_unknown(tiny_study):
    with pytest.raises(UserError, match="unknown metric 'brief_answer'.*load it with --plugin MODULE"):
        choose_metrics(["brief_answer"])
