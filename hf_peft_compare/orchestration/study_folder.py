"""A study's folder: owned by one process, written by nobody else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.records.run_folder import OWNER_FILE
from hf_peft_compare.utils.files import check_writable
from hf_peft_compare.utils.ownership import OwnedByAnother, owned


def check_folder(folder: Path, runs: Iterable[Path]) -> None:
    """Raise UserError if a study's folder cannot be written, or if something in a run's folder is a link to elsewhere.

    Args:
        runs: the folders of the runs that will be written.
    """
    check_writable(folder)
    for path in (path for run in runs for path in (run, *run.glob("*")) if path.is_symlink()):
        raise UserError(f"{path} is a link to {os.readlink(path)}, and a run writes into its folder only; delete it.")


@contextlib.contextmanager
def owned_by_this_process(folder: Path) -> Iterator[None]:
    """Own a study's folder; raise UserError if another process does."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(owned(folder / OWNER_FILE))
        except OwnedByAnother as error:
            raise UserError(
                f"another process is running this study in {folder}: {error}. Wait for it, stop it with "
                f"`hf-peft-compare cancel`, or choose another --output-dir."
            ) from None
        except FileExistsError as error:
            raise UserError(f"{folder / OWNER_FILE} is not a file of ours ({error.strerror}); delete it.") from None
        except OSError as error:
            raise UserError(f"cannot write {folder / OWNER_FILE}: {error.strerror}.") from None
        yield
