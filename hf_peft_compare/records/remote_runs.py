"""A study's runs in a remote folder: what is fetched, what is uploaded, and in which order.

A run's record is uploaded last, so that a run is finished when its record is there. A checkpoint's marker is too. What
is not uploaded: caches, the inputs that `compare` saves, and old runs that were fetched in part.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.records.run_folder import (
    CHECKPOINT_MARKER,
    CHECKPOINTS_FOLDER,
    IDENTITY_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    STUDY_FILE,
    SUPERSEDED_FOLDER,
    TUNING_FOLDER,
    supersede,
)
from hf_peft_compare.utils.ownership import OwnedByAnother
from hf_peft_compare.utils.remote_folder import RemoteFolder, remote_of
from hf_peft_compare.utils.remote_ownership import is_mine, owned_remotely

RESULTS = (RECORD_FILE, PREDICTIONS_FILE, IDENTITY_FILE)


def fetch_results(folder: Path) -> None:
    """Fetch the records and predictions of a study, if its folder is the scratch folder of a remote one.

    Raises:
        UserError: the remote folder cannot be read.
    """
    if (remote := remote_of(folder)) is not None:
        remote.fetch({name: version for name, version in remote.files().items() if _is_result(name, trials=False)})


def fetch_run(folder: Path) -> None:
    """Fetch all of a finished run, if its study's folder is the scratch folder of a remote one.

    Raises:
        UserError: the remote folder cannot be read.
    """
    if (remote := remote_of(folder.parent)) is not None:
        found = remote.files()
        if f"{folder.name}/{RECORD_FILE}" in found:
            remote.fetch({name: version for name, version in found.items() if _run_of(name) == folder.name})


def upload_folder(folder: Path) -> None:
    """Upload a folder of a study's, such as its report, if that is in the scratch folder of a remote one."""
    if (remote := remote_of(folder.parent)) is not None:
        remote.upload(remote.changed(_files(remote, folder)))


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Callable[[Path], str]]:
    """Own the remote folder of a study while its runs are done in the scratch folder; nothing if it has none.

    What is needed to skip, resume or tune is fetched before. The newest checkpoints are uploaded now and then, and at
    the end all that has not been.

    Yields:
        What uploads the folder of a run that has ended, and returns why it could not; empty: it could.

    Raises:
        UserError: the remote folder cannot be used, or belongs to another process.
        RunFailed: not all of it could be uploaded at the end.
    """
    remote = remote_of(folder)
    if remote is None:
        yield lambda run: ""
        return
    remote.check_writable()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(owned_remotely(remote, meanwhile=lambda: _upload_checkpoints(remote)))
        except OwnedByAnother as error:
            raise UserError(
                f"another process is running this study in {remote.url}: {error}. Wait for it, stop it there, or "
                f"choose another --output-dir."
            ) from None
        _fetch_to_go_on(remote)

        def upload(run: Path) -> str:
            try:
                _upload_run(remote, run)
                return ""
            except Exception as error:  # the network may be back at the end
                return f"not uploaded yet: {type(error).__name__}: {error}"

        try:
            yield upload
        finally:
            _upload_all(remote)


def _fetch_to_go_on(remote: RemoteFolder) -> None:
    """Fetch all results, and the checkpoints of runs without a record.

    A run here that has a record is kept if the remote one has none; its upload was interrupted. A run here that another
    machine has begun anew gives way to that.
    """
    found = remote.files()
    ended = {_run_of(name) for name in found if PurePosixPath(name).name == RECORD_FILE}
    kept = {name for name in map(_run_of, found) if name not in ended and (remote.folder / name / RECORD_FILE).exists()}
    for name in {*map(_run_of, found)} - kept - {""}:
        _give_way(remote, name, found.get(f"{name}/{IDENTITY_FILE}"))
    wanted = {name: version for name, version in found.items() if _run_of(name) not in kept}
    remote.fetch(
        {
            name: version
            for name, version in wanted.items()
            if _is_result(name, trials=True) or (_is_of_checkpoint(name) and _run_of(name) not in ended)
        }
    )


def _give_way(remote: RemoteFolder, run: str, version: str | None) -> None:
    """Move a run here out of the way, or remove it if it has not ended, if the remote one was begun elsewhere since."""
    here, identity = remote.folder / run, f"{run}/{IDENTITY_FILE}"
    if version is None or not (remote.folder / identity).exists() or not remote.is_other(identity, version):
        return
    if (remote.folder / identity).read_bytes() == remote.read(identity):
        return
    if (here / RECORD_FILE).exists():
        supersede(here)
    else:
        shutil.rmtree(here)


def _upload_all(remote: RemoteFolder) -> None:
    try:
        for run in _runs(remote.folder):
            _upload_run(remote, run)
        _upload_checkpoints(remote)
        remote.upload(remote.changed(_study_file(remote)))
    except RunFailed:
        raise
    except Exception as error:
        raise RunFailed(
            f"not everything was uploaded to {remote.url}: {type(error).__name__}: {error}. It is in {remote.folder}; "
            f"run the same command again to upload it."
        ) from None


def _upload_run(remote: RemoteFolder, run: Path) -> None:
    """Upload a run that has ended, its record last; a finished remote one that it replaces is kept."""
    if not (run / RECORD_FILE).exists():
        return
    name = run.relative_to(remote.folder).as_posix()
    record = f"{name}/{RECORD_FILE}"
    files = [file for file in _files(remote, run) if not _is_of_checkpoint(file)]
    if not (changed := remote.changed(files)):
        return
    if not is_mine(remote):
        raise RunFailed(f"another process has taken {remote.url}; what is finished here is in {remote.folder}.")
    if any(PurePosixPath(file).name not in (RECORD_FILE, IDENTITY_FILE) for file in changed):
        if _is_finished(remote.read(record)):
            remote.move(name, _free_name(remote.files(), run.name))
            changed = files
        remote.remove(record)
    remote.upload([*_study_file(remote), *(file for file in changed if file != record), record])
    remote.remove(f"{name}/{CHECKPOINTS_FOLDER}")


def _upload_checkpoints(remote: RemoteFolder) -> None:
    """Upload the newest checkpoint of each run without a record, and remove older ones."""
    for run in _runs(remote.folder):
        markers = [] if (run / RECORD_FILE).exists() else list(run.glob(f"{CHECKPOINTS_FOLDER}/*/{CHECKPOINT_MARKER}"))
        if not markers:
            continue
        newest = max(markers, key=lambda marker: int(marker.parent.name.rpartition("-")[2])).parent
        *files, marker = sorted(_files(remote, newest), key=lambda file: file.endswith(f"/{CHECKPOINT_MARKER}"))
        if remote.changed([marker]):
            identity = (run / IDENTITY_FILE).relative_to(remote.folder).as_posix()
            remote.upload([*_study_file(remote), identity, *files, marker])
            kept, checkpoints = (path.relative_to(remote.folder).as_posix() for path in (newest, newest.parent))
            others = {"/".join(file.split("/")[:-1]) for file in remote.files() if file.startswith(f"{checkpoints}/")}
            for other in others - {kept}:
                remote.remove(other)


def _runs(folder: Path) -> list[Path]:
    """Return the folders of the runs and trials of a study that have begun."""
    return sorted(
        path.parent for place in ("*", f"{TUNING_FOLDER}/*") for path in folder.glob(f"{place}/{IDENTITY_FILE}")
    )


def _run_of(name: str) -> str:
    """Return the name of the run or trial that a file is of; empty: of none, or of one that was superseded."""
    parts = PurePosixPath(name).parts
    depth = 2 if parts[0] == TUNING_FOLDER else 1
    return "" if parts[0] == SUPERSEDED_FOLDER or len(parts) <= depth else "/".join(parts[:depth])


def _is_result(name: str, *, trials: bool) -> bool:
    run, file = _run_of(name), PurePosixPath(name)
    return name == STUDY_FILE or (
        bool(run) and str(file.parent) == run and file.name in RESULTS and (trials or "/" not in run)
    )


def _is_of_checkpoint(name: str) -> bool:
    run = _run_of(name)
    return bool(run) and name.startswith(f"{run}/{CHECKPOINTS_FOLDER}/")


def _files(remote: RemoteFolder, folder: Path) -> list[str]:
    """Return the names of all files of a folder, but hidden ones and links."""
    found = (path.relative_to(remote.folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [
        file.as_posix()
        for file in found
        if not any(part.startswith(".") for part in file.parts) and not (remote.folder / file).is_symlink()
    ]


def _study_file(remote: RemoteFolder) -> list[str]:
    return [STUDY_FILE] if (remote.folder / STUDY_FILE).exists() and remote.changed([STUDY_FILE]) else []


def _is_finished(record: bytes | None) -> bool:
    with contextlib.suppress(ValueError, AttributeError):
        return record is not None and json.loads(record).get("status") == "finished"
    return False


def _free_name(files: Mapping[str, str], run: str) -> str:
    """Return the first name for an old run that none has."""
    taken = {"/".join(file.split("/")[:2]) for file in files}
    names = (f"{SUPERSEDED_FOLDER}/{run}-{number}" for number in range(1, len(files) + 2))
    return next(name for name in names if name not in taken)
