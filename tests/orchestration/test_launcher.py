"""How runs are divided over processes, and what one that cannot be run means for the others."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hf_peft_compare.core.errors import FAILED, OK, UserError
from hf_peft_compare.orchestration import launcher, preflight, teachers, worker
from hf_peft_compare.orchestration.children import call_in_child
from hf_peft_compare.orchestration.executors.executor import Executor, State, describe_status
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.launcher import most_processes, run_jobs
from hf_peft_compare.orchestration.place import HERE, place_of
from hf_peft_compare.records.record import read_record, record_of, write_record
from hf_peft_compare.records.run_folder import RECORD_FILE
from hf_peft_compare.utils.remote_code import TRUST_VARIABLE, trusting


@pytest.fixture
def jobs(tiny_study, tmp_path):
    """Two jobs of the tiny study, of methods without training."""
    return jobs_of(tiny_study(methods={"lead": {}, "zero_shot": {}}), output_dir=tmp_path)


class InProcess(Executor):
    """Does a job when it is submitted: `do(job)` takes the place of a process and returns its exit status."""

    name, capacity, num_retries, seconds_between_polls = "in process", 1, 0, 0.0

    def __init__(self, do):
        self.do, self.ended = do, {}

    def submit(self, jobs):
        handles = [job.config.run for job in jobs]
        self.ended |= {job.config.run: describe_status(self.do(job)) for job in jobs}
        return handles

    def poll(self, handles):
        return {handle: State("gone", self.ended[handle]) for handle in handles}

    def cancel(self, handles):
        pass


@pytest.fixture
def run(monkeypatch):
    """`run(jobs, do, check=…)`: outcomes and events; `do(job)` takes the place of a process, `check()` of the check."""

    def arrange(jobs, do, check=lambda: None):
        events = []
        monkeypatch.setattr(launcher, "call_in_child", lambda *arguments: (check(), (0, 1, {}))[1])
        monkeypatch.setattr(launcher, "LocalExecutor", lambda slots, launch: InProcess(do))
        outcomes = run_jobs(jobs, on_event=lambda job, message: events.append((job.config.row, message)))
        return outcomes, events

    return arrange


def finish(job):
    job.folder.mkdir(parents=True, exist_ok=True)
    write_record(record_of(job.config, {}, error=None), job.folder)
    return OK


@pytest.mark.parametrize(
    ("batch", "accumulation", "num_gpus", "expected"),
    [(8, 1, 4, 4), (8, 1, 3, 2), (8, 4, 4, 2), (8, 8, 4, 1), (9, 1, 4, 3), (8, 1, 0, 1), (8, 1, 1, 1)],
)
def test_a_run_takes_as_many_gpus_as_its_effective_batch_divides_into(
    batch, accumulation, num_gpus, expected, tiny_study
):
    settings = [f"training.train_batch_size={batch}", f"training.gradient_accumulation_steps={accumulation}"]
    config, _ = tiny_study(*settings).resolve(row="lora", seed=0)
    assert most_processes([config], num_gpus) == expected


def test_a_check_ends_with_its_parent_however_that_ends(tmp_path):
    """The check has no more than its parent's death to tell it: nothing is sent to a process that is killed."""
    busy = f"open({str(tmp_path / 'begun')!r}, 'w').close(); import time; time.sleep(99)"
    code = f"from hf_peft_compare.orchestration.children import call_in_child;call_in_child(exec, {busy!r})"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], start_new_session=True)
    try:
        wait_until((tmp_path / "begun").exists)
        assert len(of_session(parent.pid)) > 1
        parent.kill()
        parent.wait()
        wait_until(lambda: not of_session(parent.pid))
    finally:
        for pid in of_session(parent.pid):
            os.kill(pid, signal.SIGKILL)


def of_session(leader):
    """Return the processes of a session, which the children of its first process stay in."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, session, state in rows if int(session) == leader and not state.startswith("Z")]


def wait_until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_that_another_process_finished_during_the_check_keeps_its_record(jobs, run):
    done = []
    outcomes, events = run(jobs, lambda job: done.append(job.config.row) or finish(job), lambda: finish(jobs[0]))
    assert outcomes == {"lead-seed0": "skipped", "zero_shot-seed0": "finished"}
    assert done == ["zero_shot"] and ("lead", "skipped") in events
    assert read_record(jobs[0].folder).finished


def test_train_keeps_the_record_of_a_run_that_another_process_finished_during_the_check(jobs, monkeypatch):
    monkeypatch.setattr(preflight, "check", lambda *arguments, **keys: (finish(jobs[0]), {})[1])
    monkeypatch.setattr(worker, "train_here", lambda job: pytest.fail("it trained again"))
    events = []
    assert worker.train_one(jobs[0], on_event=lambda job, message: events.append(message)) == OK
    assert events == ["skipped"] and read_record(jobs[0].folder).finished


def test_a_run_that_cannot_be_prepared_does_not_stop_the_others(jobs, run):
    jobs[0].folder.parent.mkdir()
    jobs[0].folder.touch()  # a file in the folder's place
    outcomes, events = run(jobs, finish)
    assert outcomes == {"lead-seed0": "failed", "zero_shot-seed0": "finished"}
    assert f"could not be prepared or recorded: [Errno 17] File exists: '{jobs[0].folder}'" in dict(events)["lead"]
    assert jobs[0].folder.is_file()


def test_a_failure_that_cannot_be_recorded_does_not_stop_the_others(jobs, run, monkeypatch):
    def refuse(record, folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / RECORD_FILE))

    monkeypatch.setattr(worker, "write_record", refuse)
    outcomes, events = run(jobs, lambda job: finish(job) if job is not jobs[0] else FAILED)
    assert outcomes == {"lead-seed0": "failed", "zero_shot-seed0": "finished"}
    assert f"No space left on device: '{jobs[0].folder / RECORD_FILE}'" in dict(events)["lead"]


def test_sharing_without_several_processes_is_refused_before_anything_is_written(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "check", lambda *arguments, **keys: pytest.fail("it went on to the check"))
    with pytest.raises(UserError, match=r"fsdp.yaml requires several processes.*--num-processes"):
        launcher._check_in_child([jobs[0].config], place_of({"accelerate_config": "fsdp"}), tmp_path)


def test_runs_that_were_checked_before_are_neither_labeled_nor_checked(jobs, monkeypatch):
    monkeypatch.setattr(teachers, "label_train_texts", lambda configs: pytest.fail("it labeled"))
    monkeypatch.setattr(preflight, "check", lambda *arguments, **keys: pytest.fail("it checked"))
    assert launcher._check_in_child([jobs[0].config], HERE, None)[1:] == (1, {})


def test_child_processes_know_whether_models_may_run_code_of_their_own():
    for allowed in (True, False):
        with trusting(allowed):
            found = call_in_child(os.getenv, TRUST_VARIABLE)
        assert found == ("1" if allowed else None)
