"""Minutes that hold: each piece in a process of its own, ended when its share is over; what it found is kept."""
from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from . import results
from .worker import FORK

LEAST = 5.0     # seconds in which no piece comes to anything
SAYING = 2.0    # seconds, at most, that a piece whose time is over has to write down where it stands
WITH_PARENT = 1  # Linux's prctl: this process is sent a signal when its parent ends
TOLD = 6000     # characters of a traceback that are kept


@dataclass(frozen=True)
class Piece:
    """A piece and its share of the time.

    Args:
        name: Of the piece.
        share: Of the time, set against the shares of the pieces after it.
        function: That measures it, `module:function` in this folder.
    """

    name: str
    share: float
    function: str


def limit(pieces: Sequence[Piece], left: float) -> float:
    """Return the seconds for the first of the pieces that are left: what one does not use, the others get."""
    return left * pieces[0].share / sum(piece.share for piece in pieces)


def spend(pieces: Sequence[Piece], deadline: float, file: Path, measured: Callable[[Piece, float], None]) -> bool:
    """Run pieces one after another until the deadline; return whether each came to its end.

    Args:
        pieces: The most likely broken first.
        deadline: By `time.monotonic`.
        file: Gets a line for each piece: what became of it, with a traceback where it failed.
        measured: Measures a piece within so many seconds; called in a process that is forked for it.
    """
    good = True
    for place, piece in enumerate(pieces):
        begun = time.monotonic()
        seconds = limit(pieces[place:], deadline - begun)
        outcome, traceback = _run(partial(measured, piece, seconds), seconds) if seconds >= LEAST \
            else ("not reached", "")
        good = good and outcome == "done"
        results.append(file, "piece", {"piece": piece.name, "outcome": outcome, "limit": max(seconds, 0.0),
                                       "seconds": time.monotonic() - begun, "traceback": traceback})
    return good


def _run(measured: Callable[[], None], seconds: float) -> tuple[str, str]:
    """Return what became of a piece, and what it said where it did not end well."""
    with tempfile.TemporaryFile() as said:
        process = FORK.Process(target=_apart, args=(measured, said.fileno()))
        process.start()
        try:
            process.join(seconds)
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGUSR1)     # faulthandler then writes down where it stands
                process.join(SAYING)
                return "over its share", _tail(said)
        finally:
            with suppress(ProcessLookupError):      # what it started would go on measuring
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
        return ("done", "") if process.exitcode == 0 else (f"failed, exit code {process.exitcode}", _tail(said))


def _apart(measured: Callable[[], None], said: int) -> None:
    """Measure in a session of its own, so that it can be ended with all that it starts; say everything in one file."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    for stream in (1, 2):
        os.dup2(said, stream)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2, all_threads=True, chain=True)     # and then the process ends
    measured()


def _tail(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace")[-TOLD:]
