"""Studies run as a user runs them: the command line in processes of its own."""

import os
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "hf_peft_compare"]


def heed_ctrl_c():
    """Undo what a shell does to what it starts in the background: it has SIGINT ignored, by every child too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
            [*command, *map(str, arguments)],
            cwd=tmp_path,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
            **{**pipes, **keys},
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture
def process(start):
    """`process("run", …)`: exit status, output and errors of the whole command in a process of its own."""

    def run(*arguments, **keys):
        begun = start(*arguments, **keys)
        output, errors = begun.communicate(timeout=600)
        return begun.returncode, output, errors

    return run


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """The same without a new interpreter: its runs' processes are forked from one that has its imports loaded."""
    from hf_peft_compare.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capfd.readouterr()
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as error:  # argparse
            status = error.code
        return status, *capfd.readouterr()

    return run
