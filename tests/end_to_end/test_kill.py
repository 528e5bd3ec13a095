"""A study that is killed again and again ends like one that was left alone."""

import os
import random
import signal
import time

from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import CHECKPOINT_MARKER, RECORD_FILE, read_predictions
from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint

ROWS = {"lora": {"r": 4, "lora_dropout": 0.1}, "prompt_tuning": {"num_virtual_tokens": 4}}
# 20 epochs of three steps, each with a checkpoint, so that there is always something to interrupt.
LONG = {
    "training": {"num_train_epochs": 20, "early_stopping_patience": None, "learning_rate": 1e-3, "logging_steps": 10}
}
RESULTS = (
    "status config_hash initial_trainables_sha256 final_trainables_sha256 results validation history parameters"
).split()


def numbers(folder):
    """What a kill must not change."""
    records = read_records(folder)
    kept = {name: {key: getattr(record, key) for key in RESULTS} for name, record in records.items()}
    return kept, {name: list(read_predictions(folder / name)) for name in records}


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def step_of(folder):
    checkpoint = latest_checkpoint(folder / "checkpoints")
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


def is_writing_a_checkpoint(folder):
    return any(not (path / CHECKPOINT_MARKER).exists() for path in (folder / "checkpoints").glob("checkpoint-*"))


def wait_for(condition, process, seconds=300):
    """Wait until a moment has come; False if the process has ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    raise AssertionError("the moment never came")


def moments(rng, folder):
    """Five moments, seeded: inside training, while a checkpoint is written, between the two runs."""
    first, second = folder / "lora-seed0", folder / "prompt_tuning-seed0"

    def inside(run, steps):
        def begin():
            target = step_of(run) + steps
            return lambda: step_of(run) >= target

        return "inside training", begin

    def writing(run):
        def begin():
            target = step_of(run) + 3
            return lambda: step_of(run) >= target and is_writing_a_checkpoint(run)

        return "writing a checkpoint", begin

    between = "between runs", lambda: lambda: (first / RECORD_FILE).exists()
    early = [inside(first, rng.choice([3, 6, 9])), writing(first)]
    late = [inside(second, rng.choice([3, 6, 9])), writing(second)]
    rng.shuffle(early)
    rng.shuffle(late)
    return [*early, between, *late]


def test_killed_with_9_at_five_moments_a_study_ends_with_the_same_weights_and_records(
    study_file, start, command, tmp_path
):
    path = study_file(methods=ROWS, **LONG)
    status, _, errors = command("run", path, "--output-dir", "alone")
    assert status == 0, errors

    rng = random.Random(0)
    folder, killed = tmp_path / "killed/tiny", []
    for name, begin in moments(rng, folder):
        reached = begin()
        process = start("run", path, "--output-dir", "killed")
        assert wait_for(reached, process), f"{name}: the study ended first: {process.communicate()}"
        time.sleep(rng.choice([0, 0.005, 0.02]) if name == "inside training" else 0)
        if rng.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)  # the runs' own processes too
        else:
            process.kill()  # they must notice
        process.wait()
        killed.append(name)
    assert {name: killed.count(name) for name in set(killed)} == {
        "inside training": 2,
        "writing a checkpoint": 2,
        "between runs": 1,
    }
    status, _, errors = command("run", path, "--output-dir", "killed")
    assert status == 0, errors
    assert numbers(folder) == numbers(tmp_path / "alone/tiny")
    assert files_of(folder) == files_of(tmp_path / "alone/tiny")


def test_after_ctrl_c_and_sigterm_the_same_command_goes_on(study_file, start, command, tmp_path):
    path = study_file(methods={"lora": {"r": 4}}, **{"training": {**LONG["training"], "num_train_epochs": 40}})
    run = tmp_path / "runs/tiny/lora-seed0"
    for stop, everyone in ((signal.SIGINT, True), (signal.SIGTERM, False)):
        begun = step_of(run)
        process = start("run", path)
        assert wait_for(lambda begun=begun: step_of(run) >= begun + 6, process)
        (os.killpg if everyone else os.kill)(process.pid, stop)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "interrupted; run the same command again to resume from the last checkpoint."
        assert "Traceback" not in errors and "leaked" not in errors
        assert step_of(run) >= begun + 6 and not (run / RECORD_FILE).exists()

    begun = step_of(run)
    assert command("run", path)[0] == 0
    steps = [entry.step for entry in read_records(run.parent)["lora-seed0"].history if entry.loss is not None]
    assert steps == list(range(10, 121, 10)) and begun >= 12
