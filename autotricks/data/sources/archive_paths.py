"""Paths of what lies inside an archive: they answer what listings ask of a path, from the archive's directory."""
from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..storage import Missing, Stored

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())        # before Python 3.12 that is what can be extended


class Inside(_Base):
    """A path whose beginning is an archive. `inside` makes a class of it for each archive, which all its paths share.

    Nothing of it is on the disk by itself: whoever opens it asks for `stored`.
    """

    _archive: Path
    _files: Mapping[str, Stored]
    _folders: Mapping[str, list[str]]

    def stored(self) -> Stored:
        """Return where the bytes of this file lie."""
        return self._files.get(self._key) or Missing(str(self))

    def files(self) -> Iterator[Self]:
        """Yield every file below this folder."""
        for name in self._names(self._key):
            yield self / name

    def _names(self, folder: str, prefix: str = "") -> Iterator[str]:
        """Yield the name of every file below a folder, relative to it."""
        for name in self._folders[folder]:
            inner = name if folder == "." else f"{folder}/{name}"
            yield from self._names(inner, f"{prefix}{name}/") if inner in self._folders else [prefix + name]

    def iterdir(self) -> Generator[Self, None, None]:
        """Yield what lies in this folder."""
        if not self.is_dir():
            raise NotADirectoryError(20, "not a folder", str(self))
        return (self / name for name in self._folders[self._key])

    def is_dir(self, **_: Any) -> bool:
        """Return whether it is a folder."""
        return self._key in self._folders

    def is_file(self, **_: Any) -> bool:
        """Return whether it is a file."""
        return self._key in self._files

    def exists(self, **_: Any) -> bool:
        """Return whether it is there."""
        return self.is_dir() or self.is_file()

    def is_symlink(self) -> bool:
        """Return False: links in archives are not followed."""
        return False

    def stat(self, **_: Any) -> os.stat_result:
        """Return whether it is a file or a folder, and nothing else."""
        if not self.exists():
            raise FileNotFoundError(2, "no such file in the archive", str(self))
        return os.stat_result((stat.S_IFDIR if self.is_dir() else stat.S_IFREG, *[0] * 9))

    def read_bytes(self) -> bytes:
        """Return what a file holds."""
        with self.stored().open() as file:
            return file.read()

    @property
    def _key(self) -> str:
        """Its name in the archive; one that no member has where it leads out of it."""
        parts = self.parts
        above = self._archive.parts
        if parts[:len(above)] != above:
            return ".."
        name = "/".join(parts[len(above):]) or "."
        return posixpath.normpath(name) if ".." in parts else name


def inside(archive: Path, files: Mapping[str, Stored]) -> Inside:
    """Return the folder that an archive is.

    Args:
        archive: On the disk.
        files: By name in it.
    """
    folders: dict[str, dict[str, None]] = {".": {}}
    for name in files:
        parts = name.split("/")
        for depth, part in enumerate(parts):
            folders.setdefault("/".join(parts[:depth]) or ".", {})[part] = None
    facts = {"_archive": archive, "_files": files, "_folders": {name: sorted(held) for name, held in folders.items()}}
    root: Inside = type("Inside", (Inside,), facts)(archive)
    return root
