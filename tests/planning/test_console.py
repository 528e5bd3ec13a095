"""`hf-peft-compare plan`: its output for people and for programs, and its errors."""

import json
import os
import socket
import subprocess
import sys

import pytest
from tiny import MAIN_STUDY_COUNTS

from hf_peft_compare.cli import plan
from hf_peft_compare.cli.main import main
from hf_peft_compare.config.loading import load_study


@pytest.fixture
def command(capsys, monkeypatch):
    """`command("plan", …)`: exit status, output and errors; without any network."""

    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    def run(*arguments):
        capsys.readouterr()
        return main(list(map(str, arguments))), *capsys.readouterr()

    return run


def test_the_main_study_is_planned_exactly_without_network(command):
    status, output, _ = command("plan", "gpt2-cnn-dailymail", "--device", "h200")
    assert status == 0
    printed = {line.split()[0]: line.split()[1] for line in output.split("\n\n")[0].splitlines()[2:]}
    assert {row: printed[row] for row in MAIN_STUDY_COUNTS} == {
        row: f"{count:,}" for row, count in MAIN_STUDY_COUNTS.items()
    }
    assert "in all: 7 runs" in output and "datasheet rate × assumed utilization" in output
    assert "every text fills max_length (512), every completion max_new_tokens (100)" in output
    assert "does not fit" not in output


def test_json_holds_the_same_in_raw_units(command):
    status, output, _ = command("plan", "gpt2-cnn-dailymail", "--device", "a100", "--json", "--method", "lora")
    planned = json.loads(output)
    (run,) = planned["runs"]
    assert status == 0 and run["trainable_params"] == MAIN_STUDY_COUNTS["lora"]
    assert sum(run["memory"]["at_train_peak"].values()) == run["memory"]["train_peak_bytes"]
    assert planned["total_seconds"] == pytest.approx(sum(run["seconds"].values()))
    assert planned["does_not_fit"] == [] and run["memory"]["fits"] is True


def test_what_does_not_fit_is_named_and_is_no_error(command):
    large = ["--set", "training.train_batch_size=256", "--method", "full", "--device", "t4"]
    status, output, _ = command("plan", "gpt2-cnn-dailymail", *large)
    assert status == 0
    assert "does not fit: full needs" in output and "--set training.gradient_accumulation_steps=16: " in output


def test_the_largest_study_is_told_how_it_fits(command):
    status, output, _ = command("plan", "llama2-70b-imdb", "--device", "h200", "--method", "best_lora")
    assert status == 0 and "best_lora: weights alone take 276 GB of 140 GB; FSDP over 4" in output
    assert ", or QLoRA: 51.9 GB" in output and "batch" not in output
    shared = ["--num-processes", "4", "--accelerate-config", "fsdp"]
    status, output, _ = command("plan", "llama2-70b-imdb", "--device", "h200", "--method", "best_lora", *shared)
    assert status == 0 and "on 4 × NVIDIA H200" in output and "does not fit" not in output


def test_json_stands_alone_whatever_libraries_print(capfd, monkeypatch):
    def load_loudly(*arguments):
        os.write(1, b"a library's greeting\n")
        print("a warning")
        return load_study(*arguments)

    monkeypatch.setattr(plan, "load_study", load_loudly)
    assert main(["plan", "quickstart", "--device", "cpu", "--method", "lead", "--json"]) == 0
    output, errors = capfd.readouterr()
    assert json.loads(output)["study"] == "quickstart"
    assert "a library's greeting" in errors and "a warning" in errors


@pytest.mark.slow  # a process of its own, since transformers says it once, when it is imported
def test_nothing_is_printed_about_wandb_offline():
    command = [sys.executable, "-m", "hf_peft_compare", "plan", "quickstart", "--device", "cpu", "--method", "lead"]
    done = subprocess.run(command, env={**os.environ, "WANDB_MODE": "offline"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("row ") and "WANDB" not in done.stdout + done.stderr


def test_a_model_is_planned_without_a_study(command, tiny_gpt2):
    status, output, _ = command("plan", tiny_gpt2, "--method", "lora", "--batch", "4", "--length", "64", "--json")
    (run,) = json.loads(output)["runs"]
    assert (status, run["row"], run["micro_batch_size"], run["train_width"]) == (0, "lora", 4, 64)
    assert run["memory"]["fits"] and run["lengths_basis"].startswith("assumed: every text fills max_length (64)")
    status, output, errors = command("plan", tiny_gpt2, "--length", "64", "--task", "sequence_classification")
    assert errors == ""
    assert status == 0 and [line.split()[0] for line in output.split("\n\n")[0].splitlines()[2:]] == [*plan.METHODS]


def test_sizes_of_a_model_are_not_those_of_a_study(command):
    status, _, errors = command("plan", "quickstart", "--batch", "4")
    assert status == 2 and "--batch is for a model, but quickstart is a study; use --set" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "h1000"], "unknown device 'h1000'"),
        (["--set", "architecture.model_type=gpt22"], "unknown architecture.model_type 'gpt22'"),
        (["--method", "loraa"], "Did you mean 'lora'"),
        (["--set", "max_length=5"], "max_length"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, words, command):
    status, output, errors = command("plan", "gpt2-cnn-dailymail", *arguments)
    assert (status, output) == (2, "")
    assert words in errors and len(errors.strip().splitlines()) == 1


def test_the_quickstart_is_planned_from_its_own_texts(command):
    status, output, _ = command("plan", "quickstart", "--device", "cpu", "--method", "full")
    assert status == 0 and "counted in 1,050 examples of the data" in output
