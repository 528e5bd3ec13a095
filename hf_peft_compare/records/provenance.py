"""The provenance of a record: versions, device, commit, processes."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from importlib import metadata
from pathlib import Path

import hf_peft_compare
from hf_peft_compare.records.parts import Provenance
from hf_peft_compare.utils.remote_code import trusts_remote_code

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "evaluate",
    "accelerate",
    "rouge-score",
    "wandb",
    "tokenizers",
    "safetensors",
)


SIDE_BY_SIDE = "HF_PEFT_COMPARE_SIDE_BY_SIDE"  # the variable with the number of runs at once on the machine


def collect(*, precision: str, num_processes: int) -> Provenance:
    """Return everything needed to reproduce the numbers, except the data; unknown values are None."""
    import torch

    revision, dirty = commit()
    return Provenance(
        hf_peft_compare=hf_peft_compare.__version__,  # an editable install has the metadata of an older one
        python=platform.python_version(),
        versions={name: package_version(name) for name in PACKAGES},
        commit=revision,
        dirty=dirty,
        device=device_name(),
        host=socket.gethostname(),
        processor=_processor(),
        gpu_driver=_gpu_driver(),
        num_processes=num_processes,
        num_cpus=os.cpu_count(),
        num_threads=torch.get_num_threads(),
        side_by_side=int(os.environ.get(SIDE_BY_SIDE, 1)),
        platform=platform.platform(),
        precision=precision,
        trusts_remote_code=trusts_remote_code() or None,
        started_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def package_version(name: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def device_name() -> str:
    """Return the name of torch's device on this machine."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return "Apple MPS"
    return f"CPU ({platform.machine()}, {os.cpu_count()} cores)"


def _processor() -> str | None:
    """Return the model of the CPU; None: unknown."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _gpu_driver() -> str | None:
    """Return the version of the NVIDIA driver; None: there is none."""
    with suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip()
    return None


@cache
def commit() -> tuple[str | None, bool | None]:
    """Return the commit of the source tree and whether files differ from it; None outside a git checkout."""
    folder = Path(__file__).parents[1]
    if not (folder.parent / ".git").exists():
        return None, None
    try:
        head = _git("rev-parse", "HEAD", folder=folder)
        return head, bool(_git("status", "--porcelain", "--untracked-files=no", folder=folder))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(*arguments: str, folder: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def resident_peak_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes; None if the system does not report it."""
    try:
        import resource
    except ImportError:  # not available on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
