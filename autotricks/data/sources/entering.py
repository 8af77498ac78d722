"""Entering: a path that may lead into an archive, which is read where it lies."""
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from .archive_index import tar_members, zip_members
from .archive_paths import inside
from .files import existing

SUFFIXES = {".tar": tar_members, ".zip": zip_members}


def entered(location: str, needed: bool = True) -> Path:
    """Return a path on the disk, or inside the tar or zip archive that it begins with.

    Args:
        location: As the user wrote it.
        needed: Whether what it names must be there.

    Raises:
        DataError: When it is not, or the archive is damaged.
    """
    path = Path(location).expanduser()
    archive = next((one for one in (path, *path.parents) if one.suffix.lower() in SUFFIXES and _is_file(one)), None)
    if archive is None:
        return existing(location) if needed else path
    facts = archive.stat()
    path = _inside(archive, facts.st_mtime_ns, facts.st_size) / path.relative_to(archive)
    return existing(path) if needed else path


@lru_cache(4)       # several paths of one source lead into the same archive
def _inside(archive: Path, _: int, __: int) -> Path:
    """Return the folder that an archive is, by its path, time and size."""
    return inside(archive, SUFFIXES[archive.suffix.lower()](archive).files)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
