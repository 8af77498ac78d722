"""Archives that are read where they lie: what a tar or zip holds, by name, with the place of each file's bytes."""
from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ...errors import DataError
from ..decode import Bad, display_name, error_text, printable
from ..storage import LOCAL, Slice, Stored, ZipMember

BLOCK = 512             # bytes of a tar's header
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
DRIVE = re.compile("[A-Za-z]:")    # of Windows
UTF8 = 2**11            # bits of a zip member's flags
WINDOWS = 0             # a system that writes them


@dataclass
class Held:
    """What an archive holds.

    Args:
        files: The place of each file by its name in the archive, with forward slashes.
        skipped: Members that are no files or are called what no file may be called, with the reason.
    """

    files: dict[str, Stored] = field(default_factory=dict)
    skipped: list[Bad] = field(default_factory=list)

    def add(self, where: str, name: str, place: Stored) -> None:
        """Take a member, or set aside one whose name leads out of the archive; of two of a name, the last counts."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        inner = "/".join(parts)
        if not parts or name.startswith("/") or ".." in parts or DRIVE.match(name):
            self.skipped.append(Bad(printable(f"{where}/{name}"), "a path that leads out of the archive"))
            return
        if inner in self.files:
            self.skipped.append(Bad(printable(f"{where}/{name}"), "there twice; the last one counts"))
        self.files[inner] = place


def tar_members(path: Path) -> Held:
    """List the files of a tar archive; links and devices are set aside.

    Raises:
        DataError: When it is damaged, cut off or compressed as a whole.
    """
    held = Held()
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                archive.members = []    # type: ignore[attr-defined]     # else all of them stay in memory
                reason = _unusable(member)
                if reason:
                    held.skipped.append(Bad(printable(f"{path}/{member.name}"), reason))
                elif member.isreg():
                    held.add(str(path), member.name,
                             Slice(str(path), member.offset_data, member.size, f"{path}/{member.name}"))
        _require_end(path, archive.offset)
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise _damaged_tar(path, error, len(held.files)) from error
    return held


def _unusable(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link; links inside an archive are not followed"
    if member.issparse():
        return "a sparse file"
    return "" if member.isreg() or member.isdir() else "neither a file nor a folder"


def _require_end(path: Path, end: int) -> None:
    """Refuse a tar without zeros, its end mark, after its last member: tarfile takes anything for the end."""
    with path.open("rb") as file:
        file.seek(end)
        block = file.read(BLOCK)
    if not block:
        raise tarfile.ReadError("the mark of its end is missing")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {end:,}")


def _damaged_tar(path: Path, error: Exception, count: int) -> DataError:
    with path.open("rb") as file:
        head = file.read(max(map(len, MAGIC)))
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return DataError(f"data.source: {display_name(path)} is compressed as a whole by {name}, so that no image "
                             f"in it can be read without all before it. Unpack it to a plain .tar, or to a folder.")
    where = f"cut off or damaged after {count:,} files" if count else "no tar archive that can be read"
    return DataError(f"data.source: {display_name(path)} is {where}: {error_text(error)}. Fetch or pack it again.")


def zip_members(path: Path) -> Held:
    """List the files of a zip archive; links are set aside.

    Raises:
        DataError: When it is damaged, encrypted, made to harm, or compressed in a way that is not read here.
    """
    held = Held()
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        _require_apart(members)
        for member in members:
            _add(held, path, member)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise DataError(f"data.source: {display_name(path)} is no zip archive that can be read: {error_text(error)}"
                        f"{_cut(path)}. Fetch or pack it again.") from error
    return held


def _add(held: Held, path: Path, member: zipfile.ZipInfo) -> None:
    name = _name(member)
    mode = member.external_attr >> 16
    if member.is_dir():
        return
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        held.skipped.append(Bad(printable(f"{path}/{name}"), "a link; links inside an archive are not followed"
                                if stat.S_ISLNK(mode) else "neither a file nor a folder"))
        return
    if member.flag_bits & ENCRYPTED:
        raise ValueError(f"{printable(name)} is encrypted")
    if member.compress_type not in METHODS:
        raise ValueError(f"{printable(name)} is compressed by method {member.compress_type}, where deflate (8) is read")
    held.add(str(path), name, ZipMember(str(path), member.header_offset, member.compress_size, member.file_size,
                                        member.CRC, member.compress_type == zipfile.ZIP_DEFLATED, f"{path}/{name}"))


def _require_apart(members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes, by which a small archive inflates to terabytes (D. Fifield, WOOT 2019)."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    for member, after in pairwise(ordered):
        if member.header_offset + LOCAL.size + member.compress_size > after.header_offset:
            raise ValueError(f"{printable(member.filename)} and {printable(after.filename)} overlap")


def _name(member: zipfile.ZipInfo) -> str:
    """Return the name that was meant: in UTF-8 where that fits, though the flag for it is missing, and with slashes."""
    name = member.orig_filename.partition("\0")[0]
    if not member.flag_bits & UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/") if member.create_system == WINDOWS else name


def _cut(path: Path) -> str:
    with path.open("rb") as file:
        return "; its directory, at the end, is missing" if file.read(4) == b"PK\3\4" else ""
