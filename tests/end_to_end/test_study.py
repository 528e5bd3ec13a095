"""A study from its file to its report, as a user runs it."""

import json
import os
import sys

import pytest
import yaml
from tiny import write_rows

from hf_peft_compare.orchestration.executors.executor import Launch
from hf_peft_compare.orchestration.executors.local import LocalExecutor
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.slots import Slot
from hf_peft_compare.orchestration.supervision import supervise
from hf_peft_compare.records.record import read_record, read_records
from hf_peft_compare.records.run_folder import RECORD_FILE

ROWS = {"lead": {}, "zero_shot": {}, "lora": {"r": 4}}
SHORT = {"training": {"num_train_epochs": 1}}


@pytest.fixture
def finished(study_file, command, tmp_path):
    """The file and the runs' folder of a study that has been run."""
    path = study_file(methods=ROWS, **SHORT)
    status, output, errors = command("run", path)
    assert status == 0, errors
    return path, tmp_path / "runs/tiny", output


def test_a_study_ends_with_a_table_and_the_path_of_its_report(finished):
    _, folder, output = finished
    assert set(read_records(folder)) == {"lead-seed0", "zero_shot-seed0", "lora-seed0"}
    for title in ("Lead", "Zero-shot", "LoRA", "Test loss"):
        assert title in output
    report = output.strip().rsplit("report: ", 1)[1]
    assert "LoRA" in (folder.parent.parent / report).read_text()


def test_finished_runs_are_skipped_and_changed_ones_run_again_beside_the_old(finished, command):
    path, folder, _ = finished
    before = {run: (folder / run / RECORD_FILE).stat().st_mtime_ns for run in read_records(folder)}
    status, output, _ = command("run", path)
    assert status == 0 and output.count("finished before, unchanged") == 3
    assert before == {run: (folder / run / RECORD_FILE).stat().st_mtime_ns for run in read_records(folder)}

    old = read_record(folder / "lora-seed0")
    status, output, _ = command("run", path, "--set", "methods.lora.r=2")
    assert status == 0 and output.count("finished before, unchanged") == 2
    assert read_record(folder / "lora-seed0").config["method"]["r"] == 2
    assert read_record(folder / "superseded/lora-seed0-1") == old


def test_the_report_is_made_again_from_the_records_without_torch(finished, process):
    path, folder, _ = finished
    page = (folder / "report/index.html").read_bytes()
    (folder / "report/index.html").unlink()
    script = (
        "import sys; from hf_peft_compare.cli.main import main; status = main(sys.argv[1:]); "
        "assert not {'torch', 'transformers', 'peft', 'evaluate'} & set(sys.modules); sys.exit(status)"
    )
    status, output, errors = process("report", path, command=[sys.executable, "-c", script])
    assert status == 0, errors
    assert (folder / "report/index.html").read_bytes() == page


def test_a_run_is_used_and_exported(finished, command, tmp_path):
    names = ["tiny/lora-seed0", "tiny/zero_shot-seed0"]
    for runs in ([names[0], "--adapter", names[1]], ["--adapter", names[0], "--adapter", names[1]]):
        status, output, errors = command("predict", *runs, "--text", "An owl.")
        assert status == 0, errors
        assert [json.loads(line)["run"] for line in output.splitlines()] == names
    assert command("predict", "--text", "An owl.")[0] == 2
    status, output, errors = command("export", "tiny/lora-seed0", "adapter")
    assert status == 0, errors
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= set(os.listdir(tmp_path / "adapter"))


def test_a_failing_run_leaves_a_record_and_the_others_go_on(study_file, command, tmp_path):
    rows = {"bad": {"method": "full", "training": {"learning_rate": 1e18}}, "lora": {"r": 4}}
    status, output, errors = command("run", study_file(methods=rows, **SHORT))
    assert status == 1
    records = read_records(tmp_path / "runs/tiny")
    assert records["bad-seed0"].status == "failed" and "loss is nan" in records["bad-seed0"].error
    assert records["lora-seed0"].finished
    assert "loss is nan" in output


def test_dry_run_prints_every_value_with_the_layer_that_set_it_and_writes_nothing(study_file, command, tmp_path):
    path = study_file(methods=ROWS)
    status, output, _ = command("run", path, "--dry-run", "--set", "training.learning_rate=0.5")
    assert status == 0
    lines = output.splitlines()
    first, *others = [line for line in lines if not line.startswith(" ")]
    assert first.startswith("One learning rate, 0.5, is set for all rows")
    shown = [f"The first example as {row} read it:" for row in ("zero_shot", "lora")]
    assert [line for line in others if line] == [*(f"tiny/{row}-seed0" for row in ROWS), *shown]
    for line in (
        "training.learning_rate = 0.5  [command line]",
        "method.r = 4  [study method]",
        "method.lora_alpha = 32  [default]",
        "max_length = 96  [study]",
    ):
        assert f"  {line}" in lines
    assert not (tmp_path / "runs").exists()


BAD_INPUT = {
    "unknown key": (["--set", "training.learning_rat=1"], "Did you mean 'training.learning_rate'?"),
    "unknown method": (["--method", "lorra"], "Did you mean 'lora'?"),
    "learning rate as text": (["--set", "training.learning_rate=fast"], "training.learning_rate is 'fast'"),
    "unknown schedule": (["--set", "training.lr_scheduler_type=linaer"], "linaer"),
    "unknown optimizer": (["--set", "training.optim=adam"], "adam"),
    "zero epochs": (["--set", "training.num_train_epochs=0"], "greater than 0"),
    "split larger than the data": (["--set", "num_train_samples=1000"], "set at most 40"),
    "missing column": (["--set", "task.article_column=body"], "it has id, article, highlights"),
    "no such model": (["--set", "model_name_or_path=./nowhere"], "does not exist"),
    "hub out of reach": (["--set", "model_name_or_path=nobody/nothing"], "--set model_name_or_path=PATH"),
    "no such dataset": (["--set", "dataset=nobody/nothing"], "--set dataset=PATH"),
    "no such target module": (["--set", "methods.lora.target_modules=[q_proj]"], "c_attn"),
    "longer than the context": (["--set", "max_length=1000"], "has 128"),
    "a summary too long": (["--set", "max_length=12"], "max_length"),
    "batch that does not divide": (["--set", "training.gradient_accumulation_steps=3"], "must be divisible"),
    "a disk that cannot be written": (["--output-dir", "/proc/nowhere"], "Choose another folder"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_clear_error_with_status_2_and_nothing_written(case, study_file, command, tmp_path):
    arguments, message = BAD_INPUT[case]
    status, output, errors = command("run", study_file(methods=ROWS, **SHORT), *arguments)
    events = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert status == 2, errors
    assert len(events) == 1 and message in events[0], errors
    assert "Traceback" not in errors
    assert not (tmp_path / "runs").exists()


def test_empty_articles_are_refused(study_file, command, tmp_path):
    data = write_rows(tmp_path / "data.jsonl", [{"article": text, "highlights": "x"} for text in ["a b", " "] * 20])
    path = study_file(methods=ROWS, dataset=str(data), num_train_samples=10)
    status, _, errors = command("run", path)
    assert status == 2 and "is empty; expected text" in errors


def test_a_record_that_is_cut_short_is_named_and_its_run_is_kept_aside_and_trained_again(finished, command):
    path, folder, _ = finished
    record = folder / "lora-seed0" / RECORD_FILE
    whole, cut = record.read_text(), record.read_text()[:100]
    record.write_text(cut)
    status, _, errors = command("report", path)
    assert status == 2 and f"lora-seed0/{RECORD_FILE} cannot be read" in errors
    status, output, errors = command("run", path)
    assert status == 0 and f"lora-seed0/{RECORD_FILE} cannot be read" in output + errors
    assert (folder / "superseded" / "lora-seed0-1" / RECORD_FILE).read_text() == cut
    assert json.loads(record.read_text())["results"] == json.loads(whole)["results"]


def test_two_processes_do_not_run_one_study_in_one_place(study_file, start, command, tmp_path):
    path = study_file(methods={"lora": {}}, training={"num_train_epochs": 200, "early_stopping_patience": None})
    first = start("run", path)
    while not (tmp_path / "runs/tiny/lora-seed0").exists():
        assert first.poll() is None
    status, _, errors = command("run", path)
    assert status == 2 and "another process is running this study" in errors


def test_help_and_list_do_without_torch(process):
    script = "import sys; from hf_peft_compare.cli.main import main; main(['list']); assert 'torch' not in sys.modules"
    status, output, errors = process(command=[sys.executable, "-c", script])
    assert status == 0, errors
    assert "gpt2-cnn-dailymail" in output and "quickstart" in output


def test_a_users_study_is_a_dozen_lines(command, tiny_gpt2, tiny_dataset, tmp_path):
    study = {
        "title": "Mine",
        "task": {"name": "summarization", "article_column": "article", "summary_column": "highlights"},
        "dataset": str(tiny_dataset / "train.jsonl"),  # one file: validation and test are cut from it
        "num_validation_samples": 8,
        "num_test_samples": 8,
        "model_name_or_path": str(tiny_gpt2),
        "max_length": 96,
        "methods": ["zero_shot", "prompt_tuning"],
        "training": {"num_train_epochs": 1},
        "generation": {"max_new_tokens": 8},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    assert len((tmp_path / "mine.yaml").read_text().splitlines()) <= 18
    status, _, errors = command("run", "mine.yaml")
    assert status == 0, errors
    assert all(record.finished for record in read_records(tmp_path / "runs/mine").values())


def test_the_quickstart_trains_wherever_it_is_run(command, tmp_path):
    small = [f"num_{split}_samples=8" for split in ("train", "validation", "test")]
    settings = [part for key in [*small, "training.num_train_epochs=3"] for part in ("--set", key)]
    status, _, errors = command("run", "quickstart", "--method", "prompt_tuning", *settings)
    assert status == 0, errors
    record = read_record(tmp_path / "runs/quickstart/prompt_tuning-seed0")
    assert record.throughput.num_train_tokens > 0
    assert record.final_trainables_sha256 != record.initial_trainables_sha256


def test_train_does_one_run_and_does_it_once(study_file, command, tmp_path):
    arguments = ["train", study_file(methods=ROWS, **SHORT), "--method", "lora", "--seed", 3]
    status, output, errors = command(*arguments)
    assert status == 0, errors
    assert "lora-seed3" in output
    before = (tmp_path / "runs/tiny/lora-seed3" / RECORD_FILE).read_bytes()
    status, output, errors = command(*arguments)
    assert status == 0 and "finished before" in output, errors
    assert (tmp_path / "runs/tiny/lora-seed3" / RECORD_FILE).read_bytes() == before


def test_runs_stand_side_by_side_where_there_are_several_slots(tiny_study, tmp_path):
    jobs = jobs_of(tiny_study(methods={"lead": {}, "lora": {"r": 2}}), output_dir=tmp_path)
    events = []
    outcomes = supervise(
        jobs,
        # A machine without GPUs ignores their numbers.
        LocalExecutor([Slot(gpu=str(i), side_by_side=2) for i in range(2)], Launch()),
        lambda job, message: events.append((job.config.row, message)),
    )
    assert outcomes == {"lead-seed0": "finished", "lora-seed0": "finished"}
    assert {message for _, message in events[:2]} == {"started"}  # both, before either has finished
