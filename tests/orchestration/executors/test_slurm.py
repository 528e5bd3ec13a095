"""On a real Slurm of two nodes: what dies is run again, what is stopped goes on, with the numbers of one machine."""

import os
import re
import signal
import subprocess
import time

import pytest
from slurm_cluster import NODES, running_cluster, why_not

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.executors import make_executor
from hf_peft_compare.orchestration.executors.executor import Launch
from hf_peft_compare.orchestration.executors.slurm import SlurmExecutor, SlurmOptions
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.launcher import run_jobs
from hf_peft_compare.orchestration.place import place_of
from hf_peft_compare.orchestration.supervision import read_ticket
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import OWNER_FILE
from hf_peft_compare.utils.ownership import read_owner

needs_slurm = pytest.mark.skipif(bool(why_not()), reason=why_not())
LONG = {"training": {"num_train_epochs": 20, "early_stopping_patience": None, "logging_steps": 1}}
KEYS = ("final_trainables_sha256", "results", "history", "validation")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(SlurmExecutor, "seconds_between_polls", 0.5)
    monkeypatch.setattr(SlurmExecutor, "seconds_to_appear", 1.0)  # both nodes write to this machine's own disk
    return place_of({"executor": "slurm", "executor_options": {"partition": "all"}})


def numbers(folder):
    record = read_record(folder)
    return {key: getattr(record, key) for key in KEYS}


def wait_until(holds, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def node_of(handle):
    command = ["squeue", "--noheader", "--array", "--format=%N", f"--jobs={handle}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@needs_slurm
@pytest.mark.slow
def test_killed_and_stopped_runs_end_like_undisturbed_ones(cluster, place, tiny_study, tmp_path):
    """The node of one run dies; another is stopped as shortly before its time limit."""
    study = tiny_study(methods={"lora": {"r": 2}, "last_layers": {}}, **LONG)
    killed, stopped = jobs = jobs_of(study, output_dir=tmp_path / "cluster")
    done = set()

    def disturb(job, message):
        if message == "started" and job.config.row not in done:
            wait_until(lambda: any(job.folder.glob("checkpoints/*/complete")))
            handle = read_ticket(job.folder).handle
            if job is stopped:
                subprocess.run(["scancel", "--signal=USR1", "--batch", handle], check=True)
            else:
                cluster.kill_node(node_of(handle))
                os.kill(read_owner(job.folder / OWNER_FILE).pid, signal.SIGKILL)
            done.add(job.config.row)

    outcomes = run_jobs(jobs, place=place, on_event=disturb)
    assert outcomes == {job.config.run: "finished" for job in jobs} and done == {"lora", "last_layers"}
    assert "stopped for the scheduler; the same job goes on" in (stopped.folder / "log.txt").read_text()
    assert "stopped for the scheduler" not in (killed.folder / "log.txt").read_text()
    cluster.start_node(next(iter(NODES.keys() - cluster.nodes)))
    alone = jobs_of(study, output_dir=tmp_path / "alone")
    run_jobs(alone, place=place_of({"max_parallel": 2}))
    for job, other in zip(jobs, alone, strict=True):
        assert numbers(job.folder) == numbers(other.folder)


@needs_slurm
@pytest.mark.slow
def test_a_detached_study_is_seen_and_can_be_canceled(cluster, tiny_study, tmp_path, monkeypatch, capfd):
    from hf_peft_compare.cli.main import main

    monkeypatch.chdir(tmp_path)
    tiny_study(methods={"lora": {"r": 2}, "lead": {}}, seeds=[0, 1], **LONG)
    options = ["tiny.yaml", "--executor", "slurm", "--detach"]
    monkeypatch.setattr("sys.argv", ["hf-peft-compare", "run", *options])
    assert main(["run", *options]) == 0
    assert "`hf-peft-compare status tiny` shows" in capfd.readouterr().out

    def status():
        main(["status", "tiny"])
        return capfd.readouterr().out

    wait_until(lambda: re.search(r"lora-seed[01] +running +training, step \d+ of 60", status()))
    assert "follows it" in status()
    assert main(["cancel", "tiny"]) == 0
    said = capfd.readouterr().out
    assert re.search("stopped process .*which followed the study", said)
    assert re.search(r"canceled \d runs? with slurm", said)
    wait_until(lambda: not subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout)
    assert "running" not in status() and "waiting" not in status()


@needs_slurm
def test_what_slurm_refuses_is_said_as_it_says_it(cluster, place, tiny_study, tmp_path):
    jobs = jobs_of(tiny_study(methods={"lead": {}}), output_dir=tmp_path)
    jobs[0].prepare()
    executor = SlurmExecutor(SlurmOptions(partition="nowhere"), Launch())
    with pytest.raises(UserError, match="sbatch ended with status 1: .*invalid partition specified: nowhere"):
        executor.submit(jobs)


@needs_slurm
def test_a_job_that_the_queue_has_forgotten_is_gone(cluster):
    (state,) = make_executor("slurm", {}, Launch()).poll(["99999_0"]).values()
    assert (state.phase, state.reason) == ("gone", "no longer in the queue")


def test_a_controller_that_is_started_anew_is_waited_for(monkeypatch):
    from hf_peft_compare.orchestration.executors import slurm

    answers = [
        UserError("squeue: error: Unable to contact slurm controller (connect failure)"),
        "1_0|RUNNING|None|n1\n",
    ]

    def call(*command):
        if isinstance(answer := answers.pop(0), UserError):
            raise answer
        return answer

    monkeypatch.setattr(slurm, "_call", call)
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_CALLS", 0.0)
    (state,) = make_executor("slurm", {}, Launch()).poll(["1_0"]).values()
    assert (state.phase, state.reason) == ("running", "n1")


def test_without_slurm_the_error_says_where_to_go(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="needs squeue, which is not here.*--executor local"):
        make_executor("slurm", {}, Launch()).poll(["1_0"])


def test_the_script_has_the_sites_options_and_every_job(tiny_study, tmp_path):
    jobs = jobs_of(tiny_study(methods={"lead": {}, "zero_shot": {}}), output_dir=tmp_path / "some folder")
    options = {"partition": "gpu", "gpus": "a100:1", "cpus-per-task": "8", "setup": "module load cuda"}
    script = make_executor("slurm", options, Launch(max_parallel=16)).preview(jobs)
    for line in ("#SBATCH --partition=gpu", "#SBATCH --gpus=a100:1", "#SBATCH --cpus-per-task=8", "module load cuda"):
        assert line in script.splitlines()
    assert "#SBATCH --array=0-1%16" in script and script.count("job.json") == 2
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
