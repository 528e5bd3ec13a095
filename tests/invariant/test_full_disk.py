"""A run on a disk that is full, again and again, loses nothing and goes on as soon as there is space."""

import subprocess

import pytest

from hf_peft_compare.core.errors import RunFailed
from hf_peft_compare.records.record import read_record
from hf_peft_compare.records.run_folder import CHECKPOINTS_FOLDER, RECORD_FILE
from hf_peft_compare.training.callbacks.checkpoints import latest_checkpoint, mend_checkpoints
from hf_peft_compare.utils.files import PARTIAL

SETTINGS = ("training.num_train_epochs=3", "training.logging_steps=2")
KEYS = ("initial_trainables_sha256", "final_trainables_sha256", "history", "validation", "results")
KILOBYTES = (4, 20, 40, 60, 80, 120, 160, 200, 240, 280)


@pytest.fixture
def disk(tmp_path):
    """`disk(n)`: a file system of n KB, which keeps its files when it grows."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
        return folder

    mount("size=4k")
    yield lambda kilobytes: mount("remount", f"size={kilobytes}k")
    subprocess.run(["umount", str(folder)], check=True)


def test_a_run_goes_on_after_its_disk_was_full_at_ten_sizes(disk, train):
    whole = train("lora", *SETTINGS, folder="whole")
    failed = []
    for size in KILOBYTES:
        folder = disk(size) / "run"
        reached = latest_checkpoint(folder / CHECKPOINTS_FOLDER)
        with pytest.raises(RunFailed, match=f"the disk of {folder} is full: free some space"):
            train("lora", *SETTINGS, folder="disk/run")
        assert mend_checkpoints(folder / CHECKPOINTS_FOLDER) == []
        assert reached is None or latest_checkpoint(folder / CHECKPOINTS_FOLDER).name >= reached.name
        assert not any(path.is_dir() for path in folder.rglob(f"*{PARTIAL}"))
        if (folder / RECORD_FILE).exists():
            failed.append(read_record(folder).error)
    assert len(failed) >= len(KILOBYTES) - 2 and all("is full" in error for error in failed)
    disk(4000)
    resumed = train("lora", *SETTINGS, folder="disk/run")
    assert {key: getattr(resumed, key) for key in KEYS} == {key: getattr(whole, key) for key in KEYS}
    assert resumed.status == "finished" and resumed.notes == whole.notes
