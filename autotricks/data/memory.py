"""How much memory there is, and a refusal before it is not enough."""
from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition

from ..errors import DataError

COPIES = 2  # the images as they were read, and the same rows cut into splits


class Room:
    """How many pixels may be decoded at a time, over all threads; who finds too few left waits."""

    def __init__(self, size: int):
        self._left = size
        self._freed = Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Hold so many of them."""
        with self._freed:
            self._freed.wait_for(lambda: self._left >= count)
            self._left -= count
        try:
            yield
        finally:
            with self._freed:
                self._left += count
                self._freed.notify_all()


def require_images(count: int, shape: Sequence[int]) -> None:
    """Refuse images that do not fit in memory.

    Args:
        count: Number of images.
        shape: (D, H, W) of one image, uint8.

    Raises:
        DataError: When they do not.
    """
    depth, height, width = shape
    size = math.isqrt(available() // (COPIES * count * depth))
    require(count * math.prod(shape), f"{count:,} images of {height} x {width} x {depth}",
            f"Set data.size to {size} or less, or take" if size else "Take")


def require(size: int, what: str, mend: str = "Take") -> None:
    """Refuse what does not fit in memory.

    Args:
        size: Bytes of the images, once.
        what: What they are.
        mend: How the advice begins that ends with "fewer images".

    Raises:
        DataError: When they do not.
    """
    needed = COPIES * size
    free = available()
    if needed > free:
        raise DataError(f"data.source: {what} need about {_gib(needed)} of memory, {_gib(free)} is free. "
                        f"{mend} fewer images.")


def available(root: Path = Path("/")) -> int:
    """Return the bytes that may still be taken: what the machine has free, or the control group if that is less."""
    return max(0, min([_machine(root), *_groups(root)]))


def _machine(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    names = getattr(os, "sysconf_names", {})
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in names else "SC_PHYS_PAGES"
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE") if pages in names else 2**62


def _groups(root: Path) -> Iterator[int]:
    """Yield limit - use of each control group that this process is in; what files are cached can be given back."""
    base = root / "sys/fs/cgroup"
    for line in ["0::/", ":memory:/", *_text(root / "proc/self/cgroup").splitlines()]:
        _, kind, path = line.split(":", 2)
        if kind == "memory":
            folder = base / "memory" / path.lstrip("/")
            limit = "memory.limit_in_bytes"
            used = "memory.usage_in_bytes"
            cached = "total_inactive_file"
        elif not kind:
            folder = base / path.lstrip("/")
            limit = "memory.max"
            used = "memory.current"
            cached = "inactive_file"
        else:
            continue
        most = _text(folder / limit).strip()
        now = _text(folder / used).strip()
        if most.isdigit() and now.isdigit():
            statistics = dict(row.split() for row in _text(folder / "memory.stat").splitlines())
            yield int(most) - int(now) + int(statistics.get(cached, 0))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
