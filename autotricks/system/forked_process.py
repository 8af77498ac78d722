"""Processes forked from Python's server, which import the main program only where that cannot run it again."""
from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

GUARD = re.compile(r"\b__name__\s*==|==\s*__name__\b")


class Process(ForkServerProcess):
    """A process of the server."""

    def start(self) -> None:
        """Start it; it imports the main program if that may be imported."""
        with main_program_kept_back():
            super().start()


class Context(ForkServerContext):
    """Where such processes are started."""

    Process = Process


@contextmanager
def main_program_kept_back() -> Iterator[None]:
    """Hide a main program that a new process cannot import: it came through standard input, or would run again."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or _guarded(path):
        yield
        return
    spec = main.__spec__
    del main.__file__
    main.__spec__ = None
    try:
        yield
    finally:
        main.__file__ = path
        main.__spec__ = spec


@cache
def _guarded(path: str) -> bool:
    """Return whether a program's work stands under `if __name__ == "__main__":`, so that it may be imported."""
    try:
        return GUARD.search(Path(path).read_text("utf-8", "replace")) is not None
    except OSError:
        return False
