"""On a real Ray cluster of logical nodes: runs of a node that dies go on elsewhere, and a GPU has one run at a time."""

import os
import time

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.executors import make_executor
from hf_peft_compare.orchestration.executors.executor import Launch
from hf_peft_compare.orchestration.executors.ray import RayExecutor
from hf_peft_compare.orchestration.jobs import jobs_of
from hf_peft_compare.orchestration.launcher import run_jobs
from hf_peft_compare.orchestration.place import place_of
from hf_peft_compare.records.record import read_record

ray = pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.slow
LONG = {"training": {"num_train_epochs": 20, "early_stopping_patience": None, "logging_steps": 1}}
KEYS = ("final_trainables_sha256", "results", "history", "validation")


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and two nodes of one core and one logical GPU each."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    found = Cluster(initialize_head=True, head_node_args=head)
    for name in ("one", "two"):
        found.add_node(num_cpus=1, num_gpus=1, resources={name: 1}, object_store_memory=80 * 2**20)
    ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
    yield found
    ray.shutdown()
    found.shutdown()
    os.environ.clear()
    os.environ.update(before)


def place(**options):
    return place_of({"executor": "ray", "executor_options": options})


def numbers(folder):
    record = read_record(folder)
    return {key: getattr(record, key) for key in KEYS}


def test_two_runs_never_share_a_gpu(cluster, tiny_study, tmp_path, monkeypatch):
    seen = []
    poll = RayExecutor.poll

    def watch(self, handles):
        states = poll(self, handles)
        seen.append(sum(state.phase == "running" for state in states.values()))
        return states

    monkeypatch.setattr(RayExecutor, "poll", watch)
    jobs = jobs_of(tiny_study(methods={"lead": {}}, seeds=[0, 1, 2]), output_dir=tmp_path)
    assert set(run_jobs(jobs, place=place(num_gpus=1)).values()) == {"finished"}
    assert max(seen) <= 2
    assert read_record(jobs[0].folder).provenance.num_threads == 1


def test_an_impossible_run_is_refused_before_it_waits_for_ever(cluster):
    with pytest.raises(UserError, match="a run takes 8 GPU, but the whole Ray cluster has 2"):
        make_executor("ray", {"num_gpus": "8"}, Launch())
    with pytest.raises(UserError, match="a run takes 1 h200, but the whole Ray cluster has 0"):
        make_executor("ray", {"resource": "h200"}, Launch())


def test_a_run_whose_node_dies_ends_like_an_undisturbed_one(cluster, tiny_study, tmp_path, monkeypatch):
    """The last test of the cluster, which has one node less from here on."""
    monkeypatch.setattr(RayExecutor, "seconds_to_appear", 1.0)  # all nodes write to this machine's own disk
    study = tiny_study(methods={"lora": {"r": 2}}, **LONG)
    (job,) = jobs_of(study, output_dir=tmp_path / "cluster")
    messages = []

    def disturb(job, message):
        messages.append(message)
        if message == "started" and messages.count("started") == 1:
            end = time.monotonic() + 120
            while not any(job.folder.glob("checkpoints/*/complete")):
                assert time.monotonic() < end
                time.sleep(0.1)
            cluster.remove_node(node_of_the_run(cluster), allow_graceful=False)

    assert run_jobs([job], place=place(), on_event=disturb) == {"lora-seed0": "finished"}
    assert any(message.startswith("lost (") for message in messages)
    (alone,) = jobs_of(study, output_dir=tmp_path / "alone")
    run_jobs([alone])
    assert numbers(job.folder) == numbers(alone.folder)


def node_of_the_run(cluster):
    """Return the node whose only core is taken."""
    free = ray._private.state.available_resources_per_node()
    busy = next(n for n in ray.nodes() if n["Resources"].get("CPU") == 1 and not free[n["NodeID"]].get("CPU"))
    return next(node for node in cluster.worker_nodes if node.node_id == busy["NodeID"])


def test_without_ray_the_error_says_how_to_install_it(without):
    without("ray")
    with pytest.raises(UserError, match=r"pip install 'hf_peft_compare\[ray\]'.*--executor local"):
        make_executor("ray", {}, Launch())
