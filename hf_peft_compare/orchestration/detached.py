"""A study that goes on after its command has returned, in a process of its own with a log file."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.orchestration.children import check_system
from hf_peft_compare.records.run_folder import OWNER_FILE, STUDY_FILE
from hf_peft_compare.utils.files import check_writable
from hf_peft_compare.utils.ownership import read_owner

DRIVER_LOG = "detached.txt"  # in the study's folder
SECONDS_BETWEEN_LOOKS = 0.2


def start_detached(folder: Path) -> str:
    """Start this command again without `--detach`, and return when its checks have passed and runs begin.

    Args:
        folder: the study's.

    Returns:
        What to do next, in one sentence.

    Raises:
        UserError, RunFailed: the command ended before, with what it printed.
    """
    check_system()
    check_writable(folder)
    log = folder / DRIVER_LOG
    command = [sys.executable, "-m", "hf_peft_compare", *(word for word in sys.argv[1:] if word != "--detach")]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    while process.poll() is None:
        owner = read_owner(folder / OWNER_FILE)
        if owner is not None and owner.pid == process.pid and (folder / STUDY_FILE).exists():
            study = folder.name
            return (
                f"{study} runs in process {process.pid}, which writes to {log}; `hf-peft-compare status {study}` shows "
                f"its runs, `hf-peft-compare cancel {study}` stops them."
            )
        time.sleep(SECONDS_BETWEEN_LOOKS)
    said = log.read_text().strip()
    if process.returncode == 0:
        return said
    raise (UserError if process.returncode == 2 else RunFailed)(said.removeprefix("error: ").removeprefix("failed: "))
