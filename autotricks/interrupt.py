"""Interrupt: Ctrl-C, a closed terminal and a polite kill end a command in order; a second one ends it at once."""
from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

CODE = 130
GRACE = 8.0         # seconds that putting things in order may take
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupt:
    """Turns the first signal into `KeyboardInterrupt`; a second one, or too long a wait, leaves with all children.

    Attributes:
        farewell: Says how to go on; called when a command is left at once.
        at_once: Signals after which nothing can be put in order.
    """

    def __init__(self) -> None:
        self.farewell: Callable[[], str] = lambda: "Interrupted."
        self.at_once: set[int] = set()
        self._came = False
        self._below: dict[int, str] = {}

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while a command runs; what the caller has had ignored, as `nohup` does, stays ignored."""
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        ours = {number for number in numbers if before[number] not in (signal.SIG_IGN, None)}
        for number in ours:
            signal.signal(number, self._hear)
        atexit.register(self._deaf)     # first in, last out: while Python takes itself apart a signal would be fatal
        try:
            yield
        finally:
            for number in ours if not self._came else ():      # a second one may come while the program ends
                signal.signal(number, before[number])

    def _deaf(self) -> None:
        for name in SIGNALS if self._came else ():
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._came or number in self.at_once:
            self._leave()
        self._came = True
        self._below = below(os.getpid())    # those whose parents end first are nobody's children by then
        late = threading.Timer(GRACE, self._leave)
        late.daemon = True
        late.start()
        raise KeyboardInterrupt

    def _leave(self) -> None:
        """End every process below this one, then this one; the ledger is on disk after every line."""
        shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""      # the live table hides the cursor
        os.write(2, f"{shown}{self.farewell()}\n".encode())
        now = _processes()
        for number, born in {**self._below, **below(os.getpid(), now)}.items():
            if now.get(number, ("", ""))[1] == born:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        os._exit(CODE)


def below(root: int, known: dict[int, tuple[str, str]] | None = None) -> dict[int, str]:
    """Return the processes that descend from one, and when they began, where the system lists them."""
    known = known or _processes()
    found: dict[int, str] = {}
    new = {root}
    while new:
        new = {number for number, (parent, _) in known.items() if parent in map(str, new)}
        found |= {number: known[number][1] for number in new}
    return found


def _processes() -> dict[int, tuple[str, str]]:
    """Return the parent of every process, and when it began."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            found[int(path.parent.name)] = fields[1], fields[19]
    return found


interrupt = Interrupt()
