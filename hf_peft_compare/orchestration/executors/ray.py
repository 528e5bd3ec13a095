"""Ray: each run is a task, which starts the run's own command on the node that Ray chooses."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic.dataclasses import dataclass

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.settings import STRICT, NonNegativeInt, PositiveInt
from hf_peft_compare.orchestration.executors.executor import Executor, Launch, State, describe_status, environment
from hf_peft_compare.orchestration.job_files import write_job
from hf_peft_compare.orchestration.jobs import Job
from hf_peft_compare.records.run_folder import OWNER_FILE


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RayOptions:
    """Where the cluster is, and what each run takes of it.

    Args:
        address: of the cluster's head; None: `RAY_ADDRESS`, or a cluster of this machine alone, started for the study.
        num_cpus: CPU cores of a run, whose threads they are.
        num_gpus: whole GPUs of a run: on a shared one, neither time nor memory would be its own.
        resource: a custom resource that a run takes one of, such as the name of a kind of node.
    """

    address: str | None = None
    num_cpus: PositiveInt = 1
    num_gpus: NonNegativeInt = 0
    resource: str | None = None


class RayExecutor(Executor):
    """Run jobs as tasks of a Ray cluster, whose nodes see the study's folder and this installation."""

    name = "ray"
    options = RayOptions
    seconds_to_appear = 5.0

    def __init__(self, options: RayOptions, launch: Launch) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UserError(
                "--executor ray needs the package ray; run `pip install 'hf_peft_compare[ray]'`. --executor local does "
                "all runs on this machine."
            )
        for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
            os.environ.setdefault(name, value)
        import ray

        if not ray.is_initialized():
            try:
                ray.init(
                    address=options.address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UserError(f"no Ray cluster at {options.address!r}: {error}") from None
        self._check_resources(ray.cluster_resources(), options)
        self.capacity = launch.max_parallel or self.capacity
        self._launch, self._options = launch, options
        self._tasks: dict[str, tuple[Any, Job]] = {}
        take = {"num_cpus": options.num_cpus, "num_gpus": options.num_gpus, "scheduling_strategy": "SPREAD"}
        own = {options.resource: 1} if options.resource else None
        remote: Any = ray.remote
        self._run = remote(max_retries=0, resources=own, **take)(_run)

    @staticmethod
    def _check_resources(there: Mapping[str, float], options: RayOptions) -> None:
        wanted = {"CPU": options.num_cpus, "GPU": options.num_gpus}
        if options.resource is not None:
            wanted[options.resource] = 1
        for name, number in wanted.items():
            if number > (has := there.get(name, 0)):
                raise UserError(f"a run takes {number} {name}, but the whole Ray cluster has {has:g}.")

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit a task for each job."""
        handles = []
        for job in jobs:
            command = self._launch.command_of(write_job(job), "--watch-stdin")
            task = self._run.remote(command, environment()["PYTHONPATH"], hide_gpus=not self._options.num_gpus)
            handles.append(task.hex())
            self._tasks[handles[-1]] = task, job
        return handles

    def poll(self, handles: Collection[str]) -> dict[str, State]:
        """Return which tasks have ended; one that runs owns its run's folder."""
        import ray

        tasks = {handle: self._tasks[handle][0] for handle in handles}
        ended, _ = ray.wait(list(tasks.values()), num_returns=len(tasks), timeout=0) if tasks else ([], [])
        return {handle: self._state(handle, ended=task in ended) for handle, task in tasks.items()}

    def _state(self, handle: str, *, ended: bool) -> State:
        import ray

        task, job = self._tasks[handle]
        if not ended:
            return State("running" if (job.folder / OWNER_FILE).exists() else "waiting")
        del self._tasks[handle]
        try:
            return State("gone", describe_status(ray.get(task)))
        except ray.exceptions.RayError as error:
            return State("gone", f"ended by Ray ({type(error).__name__})")

    def cancel(self, handles: Collection[str]) -> None:
        """Interrupt the tasks, which end what they have started."""
        import ray

        tasks = [self._tasks[handle][0] for handle in handles if handle in self._tasks]
        for task in tasks:
            ray.cancel(task)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=30)


def _run(command: Sequence[str], path: str, *, hide_gpus: bool) -> int:
    """Run a command that ends with this process; return its exit status."""
    own = {"PYTHONPATH": path, **({"CUDA_VISIBLE_DEVICES": ""} if hide_gpus else {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **own}) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise
