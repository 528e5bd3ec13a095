"""A run is finished when its record says so; one that is gone without a record goes on, but not for ever."""

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.executors.executor import Executor, State
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.status import status_of
from hf_peft_compare.orchestration.supervision import TICKET_FILE, Ticket, read_ticket, supervise
from hf_peft_compare.records.record import read_record, record_of, write_record
from hf_peft_compare.records.run_folder import LOG_FILE, RECORD_FILE, STUDY_FILE

GONE = State("gone", "ended by Slurm as NODE_FAIL on n1")


class Queue(Executor):
    """A queue that follows a script: {run: [states of its first submission, states of its second, …]}."""

    name, outlives, num_retries, seconds_between_polls, seconds_to_appear = "queue", True, 3, 0.0, 0.0

    def __init__(self, script, capacity=10):
        self.script, self.capacity = script, capacity
        self.submitted, self.canceled, self.most = [], [], 0

    def submit(self, jobs):
        handles = []
        for job in jobs:
            name = job.config.run
            self.submitted.append(name)
            handles.append(f"{name}/{self.submitted.count(name)}")
            self.states = getattr(self, "states", {}) | {handles[-1]: [job, *self.script[name].pop(0)]}
        return handles

    def poll(self, handles):
        self.most = max(self.most, len(handles))
        found = {}
        for handle in handles:
            if handle not in getattr(self, "states", {}):
                found[handle] = GONE
                continue
            job, state, *later = self.states[handle]
            self.states[handle] = [job, *later]
            if state in ("finished", "failed"):
                write_record(record_of(job.config, {}, error=None if state == "finished" else "no luck"), job.folder)
                state = State("gone", "COMPLETED")
            if isinstance(state, BaseException):
                raise state
            found[handle] = State(state) if isinstance(state, str) else state
        return found

    def cancel(self, handles):
        self.canceled += handles


@pytest.fixture
def jobs(tiny_study, tmp_path):
    return jobs_of(tiny_study(methods={"lead": {}, "zero_shot": {}}), output_dir=tmp_path)


def follow(jobs, queue):
    events = []
    return supervise(jobs, queue, lambda job, message: events.append((job.config.row, message))), events


def test_the_record_says_how_a_run_ended_and_not_the_queue(jobs):
    queue = Queue({"lead-seed0": [["waiting", "running", "finished"]], "zero_shot-seed0": [["running", "failed"]]})
    outcomes, events = follow(jobs, queue)
    assert outcomes == {"lead-seed0": "finished", "zero_shot-seed0": "failed"}
    assert events == [("zero_shot", "started"), ("lead", "started"), ("zero_shot", "failed"), ("lead", "finished")]
    assert not any((job.folder / TICKET_FILE).exists() for job in jobs)


def test_a_lost_run_goes_on_where_it_stopped(jobs):
    (job,) = jobs[:1]
    queue = Queue({"lead-seed0": [["running", GONE], ["waiting", "running", "finished"]]})
    (job.folder / "checkpoints").mkdir(parents=True)
    (job.folder / LOG_FILE).write_text("said")
    outcomes, events = follow([job], queue)
    assert outcomes == {"lead-seed0": "finished"} and (job.folder / "checkpoints").exists()
    assert (
        "lead",
        "lost (ended by Slurm as NODE_FAIL on n1); submitted again, to go on from its last checkpoint",
    ) in events


def test_a_run_that_is_always_lost_fails_with_the_queues_reason(jobs):
    queue = Queue({"lead-seed0": [["running", GONE]] * 4})
    jobs[0].folder.mkdir(parents=True)
    (jobs[0].folder / LOG_FILE).write_text("said")
    outcomes, _ = follow(jobs[:1], queue)
    assert outcomes == {"lead-seed0": "failed"} and len(queue.submitted) == 4
    error = read_record(jobs[0].folder).error
    assert error.startswith(
        "the run's process was ended by Slurm as NODE_FAIL on n1, 4 times; see "
    )  # it wrote its log


def test_no_more_jobs_are_submitted_than_the_queue_takes(jobs):
    queue = Queue({"lead-seed0": [["running", "finished"]], "zero_shot-seed0": [["finished"]]}, capacity=1)
    follow(jobs, queue)
    assert queue.most == 1


def test_what_waits_in_the_queue_is_followed_and_not_submitted_twice(jobs):
    script = {"lead-seed0": [["running", KeyboardInterrupt(), "running", "finished"]]}
    queue = Queue(script)
    with pytest.raises(KeyboardInterrupt, match="1 run.s. go on with queue"):
        follow(jobs[:1], queue)
    assert queue.canceled == []
    assert read_ticket(jobs[0].folder) == Ticket(executor="queue", handle="lead-seed0/1")
    outcomes, _ = follow(jobs[:1], queue)
    assert outcomes == {"lead-seed0": "finished"} and queue.submitted == ["lead-seed0"]


def test_what_has_left_the_queue_meanwhile_is_submitted_again(jobs):
    jobs[0].prepare()
    (jobs[0].folder / TICKET_FILE).write_text('{"executor": "queue", "handle": "lead-seed0/7"}')
    queue = Queue({"lead-seed0": [["finished"]]})
    assert follow(jobs[:1], queue)[0] == {"lead-seed0": "finished"}


def test_a_run_whose_settings_changed_is_taken_out_of_the_queue(tiny_study, tmp_path):
    def job(size):
        return jobs_of(tiny_study(f"num_test_samples={size}", methods={"lead": {}}), output_dir=tmp_path)

    queue = Queue({"lead-seed0": [["running", KeyboardInterrupt(), "running"], ["finished"]]})
    with pytest.raises(KeyboardInterrupt):
        follow(job(6), queue)
    follow(job(5), queue)
    assert queue.canceled == ["lead-seed0/1"] and queue.submitted == ["lead-seed0"] * 2


def test_a_queue_that_does_not_outlive_this_process_is_emptied(jobs):
    queue = Queue({"lead-seed0": [["running", KeyboardInterrupt()]]})
    queue.outlives = False
    with pytest.raises(KeyboardInterrupt):
        follow(jobs[:1], queue)
    assert queue.canceled == ["lead-seed0/1"] and not (jobs[0].folder / TICKET_FILE).exists()


def test_a_refusal_is_an_error_and_leaves_no_record(jobs, monkeypatch, tmp_path):
    queue = Queue({})

    def refuse(jobs):
        raise UserError("sbatch: invalid partition")

    monkeypatch.setattr(queue, "submit", refuse)
    with pytest.raises(UserError, match="invalid partition"):
        follow(jobs, queue)
    assert not any((job.folder / RECORD_FILE).exists() for job in jobs)
    (jobs[0].study_folder / STUDY_FILE).write_text(load_study(tmp_path / "tiny.yaml").to_yaml())
    assert {run.state for run in status_of(jobs[0].study_folder).runs} == {"not started"}


def test_a_node_that_writes_nothing_is_named_at_the_first_loss(jobs):
    queue = Queue({"lead-seed0": [["running", GONE], ["running", GONE], ["running", GONE], ["running", GONE]]})
    _, events = follow(jobs[:1], queue)
    said = f"nothing was written into {jobs[0].folder}: is it on a file system that all nodes share?"
    assert said in next(message for _, message in events if message.startswith("lost"))
    assert said in read_record(jobs[0].folder).error
