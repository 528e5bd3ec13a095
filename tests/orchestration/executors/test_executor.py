"""Where runs are done is the user's to say: by name, with options from the command line and a file of the site."""

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.executors import check_executor, make_executor
from hf_peft_compare.orchestration.executors.executor import Launch, describe_status
from hf_peft_compare.orchestration.place import place_of


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("slum", {}, "unknown executor 'slum'. Did you mean 'slurm'"),
        ("local", {"partition": "gpu"}, "executor option 'partition': local has none; slurm, ray, command have"),
        ("slurm", {"partitoin": "gpu"}, "executor slurm: unknown key 'partitoin'. Did you mean 'partition'"),
        ("slurm", {"cpus-per-task": "many"}, "cpus_per_task is 'many': input should be a valid integer"),
        ("slurm", {"nodes": "2"}, "a run has one node here.*torchrun or accelerate launch"),
        ("ray", {"num_gpus": "0.5"}, "num_gpus is '0.5'"),
        ("command", {"command": "ssh node7 {comand}"}, r"command is 'ssh node7 \{comand\}': expected a shell command"),
        ("command", {"command": "sleep 1"}, r"expected a shell command with \{command\} or \{job_file\}"),
    ],
)
def test_what_no_executor_takes_is_refused_with_what_it_does(name, options, error):
    with pytest.raises(UserError, match=error):
        check_executor(name, options)


def test_options_of_a_site_stand_in_a_file_and_the_command_line_comes_first(tmp_path, monkeypatch):
    file = tmp_path / "site.yaml"
    file.write_text("command: {command: 'from the file {command}'}\nslurm: {partition: gpu, gpus: 1}\n")
    monkeypatch.setenv("HF_PEFT_COMPARE_EXECUTORS", str(file))
    assert make_executor("command", {}, Launch())._template == "from the file {command}"
    assert make_executor("command", {"command": "{job_file}"}, Launch())._template == "{job_file}"
    assert make_executor("slurm", {"gpus": "2"}, Launch())._options.gpus == "2"
    file.write_text("slurm: [gpu]")
    with pytest.raises(UserError, match="site.yaml: expected"):
        check_executor("slurm", {})
    file.unlink()
    with pytest.raises(UserError, match="HF_PEFT_COMPARE_EXECUTORS is .*which does not exist"):
        check_executor("slurm", {})


def test_a_plan_of_this_machine_decides_nothing_elsewhere():
    with pytest.raises(UserError, match="--max-parallel is auto.*slurm takes a number"):
        place_of({"executor": "slurm", "max_parallel": "auto"})
    assert place_of({"executor": "slurm", "max_parallel": 16, "num_processes": 4}).launch(4).max_parallel == 16


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (1, "ended with status 1"),
        (75, "stopped by the scheduler"),
        (-9, "killed by signal 9 (SIGKILL)"),
        (143, "killed by signal 15 (SIGTERM)"),
    ],
)
def test_an_exit_status_is_said_in_words(status, meaning):
    assert describe_status(status) == meaning
