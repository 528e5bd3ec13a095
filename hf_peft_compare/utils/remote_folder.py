"""A folder of an object store, reached through fsspec, and the scratch folder on this machine in which it is used.

Everything reads and writes the scratch folder, whose place is named by the URL. Files are fetched and uploaded as a
whole. Of each it is kept which version of the remote one was copied, and how the one here looked then, so that nothing
is copied twice. Credentials are those of fsspec's own configuration and environment, never part of a URL.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from hf_peft_compare.core.errors import RunFailed, UserError
from hf_peft_compare.utils.files import atomic_path, write_text_atomically

CACHE_VARIABLE = "HF_PEFT_COMPARE_CACHE"
URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
LOCAL = ("file", "local")
SYNC_FILE = ".remote.json"
PROBE = ".now"
VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "created")  # of stores, in fsspec's description of a file


def local_folder(place: str | Path) -> Path:
    """Return the folder at a path, or the scratch folder of a URL such as s3://bucket/runs.

    Raises:
        UserError: a URL that names no folder, or holds a user, a key or a query.
    """
    found = URL.fullmatch(str(place))
    if found is None:
        return Path(place)
    protocol, rest = found[1], PurePosixPath(found[2].strip("/"))
    if "@" in str(rest) or "?" in str(rest):
        raise UserError(
            f"the URL of a folder on {protocol} has '@' or '?' in it; expected e.g. {protocol}://bucket/runs. "
            f"Credentials belong into the environment or the configuration of fsspec."
        )
    if not rest.parts or ".." in rest.parts:
        raise UserError(f"{str(place)!r} names no folder; expected e.g. {protocol}://bucket/runs.")
    return _scratch().joinpath(protocol, *rest.parts)


def local_name(name: str) -> str:
    """Return the name of a study or run, or the path of the scratch folder if it is a URL."""
    return str(local_folder(name)) if URL.fullmatch(name) else name


def shown(folder: Path) -> str:
    """Return the path of a folder, or the URL of a scratch folder."""
    remote = remote_of(folder)
    return str(folder) if remote is None else remote.url


def remote_of(folder: Path) -> RemoteFolder | None:
    """Return the remote folder of a scratch folder; None: it is no scratch folder.

    Raises:
        UserError: no file system of this protocol, or a package for it is missing.
    """
    protocol, *parts = folder.relative_to(_scratch()).parts if folder.is_relative_to(_scratch()) else ("",)
    if not parts:
        return None
    return RemoteFolder(url=f"{protocol}://{'/' * (protocol in LOCAL)}{'/'.join(parts)}", folder=folder)


def _scratch() -> Path:
    cache = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "hf_peft_compare")
    return Path(cache).expanduser().absolute() / "remote"


@dataclass
class RemoteFolder:
    """A remote folder and its scratch folder. Names are relative to both.

    Raises:
        UserError: no file system of this protocol, or a package for it is missing.
    """

    url: str
    folder: Path
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        import fsspec

        protocol = self.url.partition("://")[0]
        options = {"auto_mkdir": True} if protocol in LOCAL else {}
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)
        except ImportError as error:
            raise UserError(f"cannot use {self.url}: {error}, such as by `pip install`, and try again.") from None
        except ValueError:
            raise UserError(
                f"cannot use {self.url}: no file system has the protocol {protocol!r}; expected e.g. s3, gs or az."
            ) from None

    def check_writable(self) -> None:
        """Raise UserError if nothing can be written into the folder."""
        with self._explained("write"):
            self.write(PROBE, b"")
            self._fs.rm_file(f"{self._root}/{PROBE}")

    def files(self) -> dict[str, str]:
        """Return {name: version} of all remote files, but hidden ones.

        Raises:
            UserError: they cannot be read.
        """
        with self._explained("read"):
            found = self._fs.find(self._root, detail=True)
        names = {path.removeprefix(self._root).lstrip("/"): _version(info) for path, info in found.items()}
        return {name: version for name, version in names.items() if _is_plain(name)}

    def is_other(self, name: str, version: str) -> bool:
        """Whether a remote file is another than the one that was last fetched or uploaded here."""
        return self._known.get(name, [None])[0] != version

    def fetch(self, files: dict[str, str]) -> None:
        """Copy remote files of these versions into the scratch folder, unless they are there."""
        if not files:
            return
        with self._remembering() as known:
            for name, version in files.items():
                if known.get(name, [None])[0] == version and (self.folder / name).exists():
                    continue
                with self._explained("read"), atomic_path(self.folder / name) as temporary:
                    self._fs.get_file(f"{self._root}/{name}", str(temporary))
                known[name] = [version, *_stamp(self.folder / name)]

    def changed(self, names: Iterable[str]) -> list[str]:
        """Return those of the names whose files here are not the remote ones."""
        known = self._known
        return [name for name in names if known.get(name, [None])[1:] != _stamp(self.folder / name)]

    def upload(self, names: Iterable[str]) -> None:
        """Copy files of the scratch folder to the remote one, in this order; each is there in whole or not at all."""
        with self._remembering() as known:
            for name in names:
                stamp, path = _stamp(self.folder / name), f"{self._root}/{name}"
                if self._root_is_local:  # a copy is no atomic write there, as it is in object stores
                    with self._fs.transaction, self._fs.open(path, "wb") as file:
                        file.write((self.folder / name).read_bytes())
                else:
                    self._fs.put_file(str(self.folder / name), path)
                known[name] = [_version(self._fs.info(path)), *stamp]

    def read(self, name: str) -> bytes | None:
        """Return the content of a remote file; None: it does not exist."""
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
            return content
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a remote file or folder, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(f"{self._root}/{name}", recursive=True)

    def move(self, name: str, to: str) -> None:
        """Move a remote folder to another name within this one."""
        for path in self._fs.find(f"{self._root}/{name}"):
            inner = path.removeprefix(f"{self._root}/{name}/")
            self._fs.cp_file(path, f"{self._root}/{to}/{inner}")
        self.remove(name)

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write a remote file; if it has to be new, raise FileExistsError if there is one, as far as the store can."""
        path = f"{self._root}/{name}"
        if new and self._root_is_local:  # where fsspec only looks before it writes
            with self._fs.open(path, "xb") as file:
                file.write(content)
        else:
            self._fs.pipe_file(path, content, mode="create" if new else "overwrite")

    def age(self, name: str) -> float:
        """Return the age of a remote file in seconds, by the store's own clock; 0 if the store does not tell."""
        probe = f"{PROBE}-{secrets.token_hex(4)}"  # several processes may ask at the same moment
        self.write(probe, b"")
        try:
            now, then = (self._fs.modified(f"{self._root}/{one}") for one in (probe, name))
            return float((now - then).total_seconds())
        except (NotImplementedError, FileNotFoundError):
            return 0.0
        finally:
            self.remove(probe)

    @property
    def _root_is_local(self) -> bool:
        return self.url.partition("://")[0] in LOCAL

    @property
    def _known(self) -> dict[str, list[Any]]:
        """{name: [version of the remote file, size and time of the one here]}, as of the last copy of each."""
        try:
            found: dict[str, list[Any]] = json.loads((self.folder / SYNC_FILE).read_text())
            return found
        except (OSError, ValueError):
            return {}

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[dict[str, list[Any]]]:
        with self._lock:
            known = self._known
            try:
                yield known
            finally:
                write_text_atomically(self.folder / SYNC_FILE, json.dumps(known))

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise UserError(f"cannot {what} {self.url}: there is no such bucket or folder; create it.") from None
        except (UserError, RunFailed):
            raise
        except Exception as error:  # each store has errors of its own
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"cannot {what} {self.url}: {said[:300]}. Check its name and your credentials.") from None


def _is_plain(name: str) -> bool:
    """Whether a name stays within the folder and has no hidden part."""
    return not any(part.startswith(".") for part in PurePosixPath(name).parts) and not name.startswith("/")


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _version(info: dict[str, Any]) -> str:
    found = next((info[key] for key in VERSION_KEYS if info.get(key)), "")
    return f"{info.get('size')} {found.timestamp() if isinstance(found, datetime) else found}"
