"""Studies run as a user runs them: the command line in processes of its own."""

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "hf_peft_compare"]


@pytest.fixture
def study_file(tiny_study, tmp_path):
    """`study_file("key=value", …, methods={…})`: the path of a tiny study."""

    def make(*overrides, **keys):
        tiny_study(*overrides, **keys)
        return tmp_path / "tiny.yaml"

    return make


@pytest.fixture
def start(tmp_path):
    """`start("run", …)`: the command in a process group of its own, its output in pipes."""
    processes = []

    def begin(*arguments, command=COMMAND, **keys):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(
            [*command, *map(str, arguments)], cwd=tmp_path, start_new_session=True, **{**pipes, **keys}
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture
def command(start):
    """`command("run", …)`: exit status, output and errors of the whole command."""

    def run(*arguments, **keys):
        process = start(*arguments, **keys)
        output, errors = process.communicate(timeout=600)
        return process.returncode, output, errors

    return run
