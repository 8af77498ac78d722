"""Storage: where the bytes of one image lie, in a file of its own or inside a larger one."""
from __future__ import annotations

import os
import stat
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from .tones import Unusable

MOST = 2**28                            # bytes of an image inside a larger file: that of as many pixels as are decoded
LOCAL = struct.Struct("<4s22xHH")       # of the header before a member of a zip: mark, length of name and of extra
MARK = b"PK\3\4"


class Stored(Protocol):
    """Where the bytes of one image lie; `str` says it to a person.

    A place holds no open file: it is picklable, and each process and thread opens it for itself.
    """

    @property
    def file(self) -> str:
        """The file on disk that holds the bytes; empty where memory does."""

    def open(self) -> BinaryIO:
        """Return the bytes as a file that can be read from anywhere in it.

        Raises:
            OSError: When the file on disk cannot be read.
            Unusable: When the bytes are not there, or damaged.
        """


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file of its own."""

    file: str

    def __str__(self) -> str:
        return self.file

    def open(self) -> BinaryIO:
        """Open the file, if it is a regular one: opening a pipe would wait for ever."""
        if not stat.S_ISREG(os.stat(self.file).st_mode):
            raise Unusable("not a regular file")
        return open(self.file, "rb")


@dataclass(frozen=True, slots=True)
class InMemory:
    """Bytes that are at hand."""

    content: bytes
    file: str = ""

    def __str__(self) -> str:
        return f"{len(self.content)} bytes"

    def open(self) -> BinaryIO:
        """Return the bytes."""
        return BytesIO(self.content)


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that should be in an archive and is not there."""

    name: str
    file: str = ""

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Raise FileNotFoundError."""
        raise FileNotFoundError(self.name)


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes that lie in a larger file as they are: a member of a tar archive, a cell of an Arrow file.

    Args:
        file: That holds them.
        offset: Where they begin, in bytes.
        size: Their number.
        name: For people.
    """

    file: str
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Read the bytes."""
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            return BytesIO(_read(file, self.size))


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip archive, stored or deflated.

    Reading it needs no directory of the archive, which would be read again by every process.

    Args:
        file: The archive.
        offset: Where the member's own header begins, in bytes.
        packed: Bytes in the archive.
        size: Bytes when inflated, as the archive says; no more are inflated.
        checksum: CRC-32 of those.
        deflated: Whether they are.
        name: For people.
    """

    file: str
    offset: int
    packed: int
    size: int
    checksum: int
    deflated: bool
    name: str

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """Read and inflate the bytes, and compare their checksum."""
        if self.size > MOST:
            raise Unusable(f"more than {MOST // 2**20} MiB")
        with open(self.file, "rb") as file:
            file.seek(self.offset)
            mark, name, extra = LOCAL.unpack(_read(file, LOCAL.size))
            if mark != MARK:
                raise Unusable("damaged: no member of the archive begins where it should")
            file.seek(name + extra, os.SEEK_CUR)
            content = _read(file, self.packed)
        if self.deflated:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, self.size + 1)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise Unusable("damaged: its checksum is another")
        return BytesIO(content)


def stored(source: str | Path | bytes | Stored) -> Stored:
    """Return the place of a file by its path, or of bytes at hand; a place stays what it is."""
    if isinstance(source, bytes):
        return InMemory(source)
    return OnDisk(os.fspath(source)) if isinstance(source, str | Path) else source


def _read(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        Unusable: When there are fewer, or they are too many.
    """
    if size > MOST:
        raise Unusable(f"more than {MOST // 2**20} MiB")
    content = file.read(size)
    if len(content) < size:
        raise Unusable("damaged: the file that holds it ends before")
    return content
