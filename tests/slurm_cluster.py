"""A Slurm cluster of two nodes of one core each on this machine, for tests on the real thing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PORT = 17_100 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])  # test processes have a cluster each
NODES = {"n1": PORT + 1, "n2": PORT + 2}

CONFIG = """
ClusterName=tests
SlurmctldHost=localhost
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=60
SchedulerParameters=requeue_delay=1,sched_interval=2,batch_sched_delay=0
"""


def why_not() -> str:
    """Return why no cluster can be started here; empty: it can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed: {', '.join(missing)}"
    if len(os.sched_getaffinity(0)) < len(NODES):
        return "a Slurm of two nodes wants two cores"
    return "" if os.geteuid() == 0 else "Slurm's daemons are started by root"


class Cluster:
    """The running cluster.

    Args:
        folder: of its configuration, logs and state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all daemons and wait until both nodes take jobs."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (self.folder / "state").mkdir()
        lines = [
            f"NodeName={name} NodeHostname=localhost Port={port} CPUs=1 State=UNKNOWN" for name, port in NODES.items()
        ]
        lines.append("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
        (self.folder / "slurm.conf").write_text(CONFIG.format(folder=self.folder, port=PORT) + "\n".join(lines) + "\n")
        os.environ["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self.folder.chmod(0o755)
        munge = [f"--key-file={key}", f"--socket={self.folder}/munge.socket", f"--log-file={self.folder}/munged.log"]
        munge += [f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munged.seed"]
        self._start("munged", "munged", "--foreground", "--force", *munge)
        _wait_for((self.folder / "munge.socket").exists)
        self._start("slurmctld", "slurmctld", "-D")
        for name in NODES:
            self.start_node(name)
        _wait_for(lambda: self._states() == ["idle", "idle"])

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self._start(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Let the daemons of a node die, as by a power failure; what it runs is the caller's to kill."""
        daemon = self._daemons.pop(name)
        steps = [child for child in psutil.Process(daemon.pid).children(recursive=True) if "slurmstepd" in child.name()]
        for process in (daemon, *steps):
            process.kill()
        daemon.wait()

    @property
    def nodes(self) -> set[str]:
        """The nodes whose daemons run."""
        return self._daemons.keys() & NODES.keys()

    def stop(self) -> None:
        """Stop all daemons and jobs."""
        subprocess.run(["scancel", "--user=root"], check=False)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.txt").open("w") as log:
            self._daemons[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @staticmethod
    def _states() -> list[str]:
        found = subprocess.run(["sinfo", "--noheader", "-N", "-o", "%T"], capture_output=True, text=True, check=False)
        return found.stdout.split()


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster, and stop it at the end."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        os.environ.pop("SLURM_CONF", None)


def _wait_for(holds: object, seconds: float = 60) -> None:
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "the cluster did not start"
        time.sleep(0.2)
