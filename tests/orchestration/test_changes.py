"""A run is trained again only if what determines its scores changed; its old folder is kept, with the reason."""

import io
import os
import shutil
import sys
from dataclasses import asdict, replace

import pytest
from rich.console import Console
from tiny import LABELS, reviews, save_tiny_model, tiny_model, write_rows, write_stories

from hf_peft_compare.config import identity
from hf_peft_compare.config.identity import IDENTITY_FILE, read_identity
from hf_peft_compare.core.registry import METHODS, PLUGINS_VARIABLE
from hf_peft_compare.data import splits
from hf_peft_compare.data.splits import fingerprint, load_examples
from hf_peft_compare.orchestration.changes import changes_since
from hf_peft_compare.orchestration.jobs import jobs_of, unfinished
from hf_peft_compare.orchestration.launcher import run_jobs
from hf_peft_compare.orchestration.progress_display import ProgressDisplay
from hf_peft_compare.orchestration.worker import train_one
from hf_peft_compare.records.parts import Provenance
from hf_peft_compare.records.record import read_record, record_of, write_record
from hf_peft_compare.records.run_folder import CONFIG_HASH_FILE, RECORD_FILE

WITHOUT_SCORES = [
    "training.dataloader_num_workers=1",
    "training.trunk_cache_max_bytes=5",
    "costs=true",
    "training.logging_steps=7",
    "training.eval_batch_size=3",
]


@pytest.fixture
def data(tmp_path):
    return write_stories(tmp_path / "stories.jsonl", 40)


@pytest.fixture
def model(tmp_path):
    return save_tiny_model("gpt2", tmp_path / "model")


@pytest.fixture
def job(tiny_study, tmp_path, data, model):
    """`job("key=value", …)`: the LoRA run of the tiny study on data and a model that a test may change."""

    def make(*overrides, row="lora", **keys):
        local = [f"dataset={data}", f"model_name_or_path={model}", "training.num_train_epochs=1"]
        return jobs_of(tiny_study(*local, *overrides, **keys), output_dir=tmp_path / "runs", rows=[row])[0]

    return make


def finish(job, **keys):
    """Write the record of a finished run, with the fingerprint of its examples."""
    provenance = Provenance(data_fingerprint=fingerprint(load_examples(job.config)))
    record = replace(record_of(job.config, {}, error=None), **{"provenance": provenance, **keys})
    job.folder.mkdir(parents=True, exist_ok=True)
    write_record(record, job.folder)
    return job


def begun(job):
    job.prepare()
    return job


def edit(path, old="fox", new="cat"):
    assert old in (text := path.read_text())
    path.write_text(text.replace(old, new))


def overwrite(model):
    tiny_model(seed=1).save_pretrained(model)


@pytest.mark.parametrize("setting", WITHOUT_SCORES)
def test_a_setting_that_changes_no_score_leaves_a_run_finished(setting, job):
    finish(begun(job()))
    assert job(setting).config != job().config
    assert job(setting).state == "finished"
    assert job("training.learning_rate=0.5").state == "changed"


def test_an_edited_data_set_runs_again_and_the_old_run_is_kept(job, data):
    finish(begun(job()))
    data.touch()
    assert job().state == "finished"
    edit(data)
    assert changes_since(job().config, job().folder) == ["data set"]
    assert job().prepare() == (
        "the data set changed since it ran; training again, the old run is kept in superseded/lora-seed0-1"
    )
    assert (job().folder.parent / "superseded" / "lora-seed0-1" / RECORD_FILE).exists()
    assert job().state == "open"


def test_files_that_hold_the_same_examples_are_the_same_data_and_are_loaded_once(job, data, monkeypatch):
    finish(begun(job()))
    data.write_text(data.read_text().replace('{"id"', '{"unread": 1, "id"'))
    assert unfinished([job()]) == []
    monkeypatch.setattr(splits, "load_examples", lambda config: pytest.fail("loaded again"))
    assert unfinished([job()]) == []


def test_a_task_that_loads_more_than_texts_goes_by_the_files(job, data, monkeypatch):
    finish(begun(job()))
    monkeypatch.setattr(type(job().config.task_type), "load", lambda self, config: None)
    data.write_text(data.read_text().replace('{"id"', '{"unread": 1, "id"'))
    assert job().state == "changed"


def test_labels_of_further_texts_leave_a_run_on_a_hub_dataset_finished(job, classifying, tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "data_files", lambda dataset: {})  # as of one on the Hub
    told = [{"text": row["text"], "prediction": LABELS[row["label"]]} for row in reviews(48, seed=0)]
    file = write_rows(tmp_path / "labels.csv", told)
    given = (f"labels_from.file={file}", f"dataset={classifying['dataset']}")
    keys = {"row": "frozen_features", "task": classifying["task"], "methods": {"frozen_features": {}}}
    finish(begun(job(*given, **keys)))
    with file.open("a") as more:
        more.write("A text of further data.,lost\n")
    assert job(*given, **keys).state == "finished"
    edit(file, ",found", ",unclear")
    assert changes_since(job(*given, **keys).config, job(*given, **keys).folder) == ["teacher's labels"]


def test_an_overwritten_model_makes_its_runs_train_again(job, model):
    rows = {"lora": {"r": 4}, "lead": {}}
    for row in rows:
        finish(begun(job(row=row, methods=rows)))
    overwrite(model)
    assert [job(row=row, methods=rows).state for row in rows] == ["changed", "finished"]
    assert "the base model changed since it ran" in job(row="lora", methods=rows).prepare()


def test_several_changes_are_one_line(job, data, model):
    finish(begun(job()))
    edit(data)
    overwrite(model)
    assert "the base model and the data set changed since it ran;" in job().prepare()


def test_a_finished_run_needs_neither_its_data_nor_its_model(job, data, model):
    finish(begun(job()))
    data.unlink()
    shutil.rmtree(model)
    assert job().state == "finished"


def test_a_data_set_that_cannot_be_read_any_more_is_another(job, data):
    finish(begun(job()))
    edit(data, '"article"', '"text"')
    assert job().state == "changed"


def test_an_interrupted_run_goes_on_only_with_what_it_began_with(job, data):
    begun(job())
    (job().folder / "checkpoints").mkdir()
    assert job("training.eval_batch_size=3").prepare() is None
    assert (job().folder / "checkpoints").exists()
    edit(data)
    assert "superseded/lora-seed0-1" in job().prepare()
    assert not (job().folder / "checkpoints").exists()
    assert (job().folder.parent / "superseded/lora-seed0-1/checkpoints").exists()


def old_config(config):
    """A config's settings as an older version had them, without one that was added since."""
    settings = asdict(config)
    del settings["training"]["packing"], settings["method"]["use_dora"], settings["generation"]["cache_implementation"]
    return settings


def test_runs_of_older_versions_are_still_finished_or_go_on(job):
    config = job().config
    finish(job(), config=old_config(config), config_hash="of whatever was hashed then")
    assert not (job().folder / IDENTITY_FILE).exists()
    assert (job().state, job("methods.lora.r=2").state) == ("finished", "changed")
    finish(job(), config={"a setting": "that is gone"}, config_hash=config.hash_of_all)
    assert job().state == "finished"
    finish(job(), config={"a setting": "that is gone"}, config_hash="another")
    assert job().state == "changed"
    (job().folder / RECORD_FILE).unlink()
    (job().folder / CONFIG_HASH_FILE).write_text(config.hash_of_all)
    assert (job().state, job("methods.lora.r=2").state) == ("open", "changed")


def test_a_run_of_an_older_version_is_compared_by_its_examples_and_then_by_files(job, data, model):
    finish(job())
    assert unfinished([job()]) == []
    assert set(read_identity(job().folder).inputs) == {"data set", "base model"}
    overwrite(model)
    assert changes_since(job().config, job().folder) == ["base model"]
    (job().folder / IDENTITY_FILE).unlink()
    assert job().state == "finished"  # older versions did not hash the model
    edit(data)
    assert changes_since(job().config, job().folder) == ["data set"]


def test_a_record_alone_identifies_the_inputs_of_its_run(job, model):
    finish(begun(job()))
    inputs = read_identity(job().folder).inputs
    finish(job(), provenance=Provenance(inputs=inputs))
    (job().folder / IDENTITY_FILE).unlink()
    assert job().state == "finished"
    overwrite(model)
    assert job().state == "changed"


def test_a_trial_is_moved_within_its_own_folder(job, data):
    trial = replace(job(), config=replace(job().config, trial=0))
    trial = replace(trial, folder=job().folder.parent / "tuning" / trial.config.run)
    finish(begun(trial))
    assert unfinished([trial]) == []
    edit(data)
    assert unfinished([trial]) == [trial]
    assert "kept in tuning/superseded/lora-trial00-1" in trial.prepare()


def run(job):
    """The outcome of a run in a process of its own, and what the terminal shows."""
    with ProgressDisplay(Console(file=(shown := io.StringIO()))) as display:
        (outcome,) = run_jobs([job], on_event=display).values()
    return outcome, shown.getvalue()


def test_only_what_decides_scores_trains_again_and_the_terminal_prints_why(job, data, model):
    assert run(job())[0] == "finished"
    first = read_record(job().folder)
    assert set(first.provenance.inputs) == {"data set", "base model"}
    outcome, shown = run(job("training.eval_batch_size=3", "training.logging_steps=2"))
    assert outcome == "skipped" and "finished before, unchanged" in shown
    assert read_record(job().folder) == first

    edit(data)
    outcome, shown = run(job())
    assert outcome == "finished"
    assert "lora-seed0: the data set changed since it ran; training again, the old run is kept in" in shown
    second, kept = read_record(job().folder), job().folder.parent / "superseded"
    assert read_record(kept / "lora-seed0-1") == first
    assert second.provenance.data_fingerprint != first.provenance.data_fingerprint

    overwrite(model)
    lines = []
    assert train_one(job(), on_event=lambda job, message: lines.append(message)) == 0
    assert lines[0].startswith("the base model changed since it ran") and lines[1:] == ["started", "finished"]
    assert read_record(kept / "lora-seed0-2") == second
    assert read_record(job().folder).initial_trainables_sha256 == second.initial_trainables_sha256
    assert read_record(job().folder).results != second.results


def test_an_interrupted_run_on_edited_data_starts_over(job, data, interrupt_at, monkeypatch):
    long = job("training.num_train_epochs=2")
    interrupt_at(5)
    with pytest.raises(KeyboardInterrupt):
        train_one(long)
    assert list((long.folder / "checkpoints").glob("checkpoint-*"))
    edit(data)
    steps = interrupt_at(1000)
    assert train_one(long) == 0
    assert steps[0] == 0 and len(steps) == 6


PLUGIN = """
from hf_peft_compare.methods.lora import Lora

class Mine(Lora):
    name = "mine"
    training_defaults = {"learning_rate": 1e-3}
"""


def test_a_plugin_whose_code_changed_trains_again(job, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(PLUGINS_VARIABLE, "my_changing_plugin")

    def write(code):
        sys.modules.pop("my_changing_plugin", None)
        (tmp_path / "my_changing_plugin.py").write_text(code)
        os.utime(tmp_path / "my_changing_plugin.py", ns=(len(code), len(code)))  # not the previous compiled file
        METHODS.register_module("my_changing_plugin")
        return job(row="mine", methods={"mine": {"r": 4}})

    assert train_one(write(PLUGIN)) == 0
    assert train_one(write(PLUGIN)) == 0
    lines = []
    assert (
        train_one(write(f"{PLUGIN}    # another comment\n"), on_event=lambda job, message: lines.append(message)) == 0
    )
    assert lines[0].startswith("the code of method mine changed since it ran")
    assert lines[-1] == "finished"
