"""Storage: a copy of a run's folder in a bucket or on a shared path, for when the machine that searches is lost."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, RunError
from ..tracking.address import display_address, redacted, secretive
from .folder import LEDGER, SPACE

EVERY = 30.0        # seconds between two copies while trials end
PATIENCE = 120.0    # seconds that the end of a search waits for the last copy
SCHEMES = "s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, abfs://CONTAINER@ACCOUNT.../FOLDER or file:///FOLDER"
Stamp = tuple[int, int]


def opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it, once something has been written there and removed.

    Raises:
        InputError: When it is none of the known kinds, holds a secret, or cannot be written to.
    """
    from pyarrow import fs

    parts = urlsplit(address)
    named = parts.scheme.startswith("abfs")     # an account, and no person
    if not parts.scheme or parts.password or secretive(address) or ("@" in address and not named):
        why = "holds a key or password; give it in the environment" if parts.scheme else "not an address"
        raise InputError(f"--storage {display_address(address)}: {why}. Write {SCHEMES}.")
    whole = parts._replace(path=parts.path.rstrip("/"))
    if parts.scheme == "s3":    # a small file is one request in place of three
        whole = whole._replace(query="&".join(filter(None, [parts.query, "allow_delayed_open=true"])))
    try:
        system, path = fs.FileSystem.from_uri(whole.geturl())
        probe = f"{path}/.autotricks"
        if isinstance(system, fs.LocalFileSystem):
            system.create_dir(path)
        with system.open_output_stream(probe) as stream:
            stream.write(b"autotricks")
        system.delete_file(probe)
    except (OSError, ValueError) as error:      # Arrow's errors are both
        raise InputError(f"--storage {display_address(address)}: {_first(error)}. Write {SCHEMES}, to which you may "
                         "write.") from None
    return system, path


def fetched(address: str, root: Path) -> Path:
    """Return the folder of a run of a storage below `root`, copied there unless it is there.

    Raises:
        InputError: When the address cannot be used.
        RunError: When no run lies there.
    """
    from pyarrow import fs

    system, path = opened(address)
    target = root / Path(path).name
    if (target / SPACE).exists():
        return target
    if any(system.get_file_info(f"{path}/{name}").type != fs.FileType.File for name in (SPACE, LEDGER)):
        raise RunError(f"{address}: no run lies there; it would hold {SPACE} and {LEDGER}.")
    listed = [info.path for info in system.get_file_info(fs.FileSelector(path, recursive=True))
              if info.type == fs.FileType.File]
    try:
        for name in sorted(listed, key=lambda name: name == f"{path}/{SPACE}"):     # what makes it a run comes last
            file = target / name.removeprefix(f"{path}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            with system.open_input_stream(name) as stream:
                file.write_bytes(stream.read())
    except OSError as error:
        raise RunError(f"{address}: cannot be copied to {target}: {_first(error)}.") from None
    return target


class Copy:
    """Listens to a search and copies its folder, in a thread of its own: storage that is slow or down holds up nothing.

    Args:
        address: Of the folder in which the run's copy is to lie.
    """

    def __init__(self, address: str):
        self._address = address
        (self._system, self._path) = opened(address)
        self._folder: Path | None = None
        self._known: dict[Path, Stamp] = {}
        self._problem = ""
        self._news = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="storage", daemon=True)

    def began(self, folder: Path) -> None:
        """Learn which folder it is."""
        self._folder = folder
        self._thread.start()

    def started(self, trial: Any) -> None:
        """Wait for what it reaches."""

    def reached(self, trial: Any, outcome: Any, budget: int, score: float | None) -> None:
        """Note that there is something to copy."""
        self._news.set()

    def ended(self, trial: Any, end: Any, score: float | None) -> None:
        """Note that there is something to copy."""
        self._news.set()

    def close(self) -> str:
        """Copy what is left; return what went wrong, in one line."""
        if self._folder is None:
            return ""
        self._over.set()
        self._news.set()
        self._thread.join(PATIENCE)
        late = f"not within {PATIENCE:g} s" if self._thread.is_alive() else self._problem
        return f"{self._address} did not take everything: {late}. All of it: {self._folder}" if late else ""

    def _copy(self) -> None:
        while not self._over.is_set():
            self._news.wait()
            self._news.clear()
            self._copy_changed()
            self._over.wait(EVERY)
        self._copy_changed()

    def _copy_changed(self) -> None:
        """Copy what changed since the last time."""
        assert self._folder is not None
        self._problem = ""
        for path, stamp in _files(self._folder):
            if self._known.get(path) != stamp:
                try:
                    self._write(path, f"{self._path}/{self._folder.name}/{path.relative_to(self._folder).as_posix()}")
                    self._known[path] = stamp
                except (OSError, ValueError) as error:
                    self._problem = _first(error)
                    return

    def _write(self, path: Path, target: str) -> None:
        from pyarrow import fs

        if isinstance(self._system, fs.LocalFileSystem):
            self._system.create_dir(target.rpartition("/")[0])
        with self._system.open_output_stream(target) as stream:
            stream.write(path.read_bytes())


def _files(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    """Yield the files of a run with what tells that they changed; Ray's own and the lock are of this machine alone."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if inside[0] != "ray" and not inside[-1].startswith("."):
            with suppress(OSError):     # replaced meanwhile
                if path.is_file():
                    known = path.stat()
                    yield path, (known.st_mtime_ns, known.st_size)


def _first(error: BaseException) -> str:
    return redacted(str(error).splitlines()[0][:200].rstrip(". ")) if str(error) else type(error).__name__
