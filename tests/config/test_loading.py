"""Study files, the package's own and a user's, and what is wrong with one."""

import dataclasses

import pytest

from hf_peft_compare.config.loading import STUDIES_FOLDER, list_studies, load_study
from hf_peft_compare.config.training import TrainingConfig
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method

STUDIES = sorted(path.stem for path in STUDIES_FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_package_resolves_every_run(name):
    study = load_study(name)
    assert study.config.name == name
    resolved = list(study.resolve_all())
    assert [(run.row, run.seed) for run, _ in resolved] == study.config.runs
    for run, origins in resolved:
        assert run.method_settings and run.task_settings
        assert set(origins) >= {f"training.{f.name}" for f in dataclasses.fields(TrainingConfig)}
        assert set(origins.values()) <= {"default", "method", "study", "study method"}


@pytest.mark.parametrize("name", STUDIES)
def test_references_name_rows_of_their_study(name):
    config = load_study(name).config
    assert set(config.references.rows if config.references else ()) <= set(config.methods)


def test_list_studies_gives_them_by_name():
    assert sorted(list_studies()) == STUDIES
    assert "gpt2-cnn-dailymail" in STUDIES


def test_a_users_study_of_a_dozen_lines_is_enough(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        """\
title: My reviews
task:
  name: summarization
  article_column: review
  summary_column: title
dataset: my_reviews.jsonl
num_validation_samples: 100
num_test_samples: 100
model_name_or_path: my_model
methods: [zero_shot, prompt_tuning, lora]
seeds: [0, 1]
training: {num_train_epochs: 1}
"""
    )
    study = load_study(str(path))
    assert study.config.name == "mine"
    rows = ["zero_shot", "prompt_tuning", "lora"]
    assert study.config.runs == [(row, 0) for row in rows] + [(row, 1) for row in rows]
    run, _ = study.resolve(row="lora", seed=1)
    assert run.run == "lora-seed1"
    assert run.training.learning_rate == get_method("lora").training_defaults["learning_rate"]
    assert run.task_settings.article_column == "review"


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [1\n", ""])
def test_a_file_that_is_no_study_is_a_user_error(text, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broken\.yaml"):
        load_study(str(path))


def test_missing_keys_say_how_to_set_them(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text("title: Short\ntask: summarization\nmethods: [lora]\nmodel_name_or_path: gpt2\n")
    with pytest.raises(UserError, match="key 'dataset' is missing; set it in the study file or with --set dataset="):
        load_study(str(path))


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", ".001", "0.001"])
def test_scientific_notation_is_a_number(text, tiny_study):
    assert tiny_study(f"training.learning_rate={text}").config.training.learning_rate == 0.001


def test_a_seed_of_tuning_that_is_a_run_is_refused():
    """That run would be the trial that was selected, with its luck."""
    with pytest.raises(UserError, match=r"tune.seed is 1, one of seeds \[0, 1, 2\]"):
        load_study("quickstart-tuned", ["tune.seed=1"])
    assert load_study("quickstart-tuned").config.tune.seed not in load_study("quickstart-tuned").config.seeds


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "..", ".", "", "a/b", "a\nb", "a\0b", "-x", "x" * 201, "ä"])
def test_a_name_that_is_no_folders_is_refused(name, tiny_study):
    with pytest.raises(UserError, match="study name .*expected letters, digits"):
        tiny_study(name=name)
    with pytest.raises(UserError, match="method row .*expected letters, digits"):
        tiny_study(methods={name: {"method": "lora"}})
