"""Interrupt: Ctrl-C, a closed terminal and a polite kill end a command in order; a second one ends it at once."""
from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

CODE = 130
GRACE = 8.0         # seconds that putting things in order may take
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupt:
    """Turns the first signal into `KeyboardInterrupt`; a second one, or too long a wait, leaves with all children.

    Attributes:
        farewell: Says how to go on; called when a command is left at once.
    """

    def __init__(self) -> None:
        self.farewell: Callable[[], str] = lambda: "Interrupted."
        self._came = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while a command runs; what the caller has had ignored, as `nohup` does, stays ignored."""
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        ours = {number for number in numbers if before[number] not in (signal.SIG_IGN, None)}
        for number in ours:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._came:
            self._leave()
        self._came = True
        late = threading.Timer(GRACE, self._leave)
        late.daemon = True
        late.start()
        raise KeyboardInterrupt

    def _leave(self) -> None:
        """End every process below this one, then this one; the ledger is on disk after every line."""
        shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""      # the live table hides the cursor
        os.write(2, f"{shown}{self.farewell()}\n".encode())
        for number in below(os.getpid()):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os._exit(CODE)


def below(root: int) -> list[int]:
    """Return the processes that descend from one, where the system lists them."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    found, new = [], [root]
    while new:
        new = [number for number, parent in parents.items() if parent in new]
        found += new
    return found


interrupt = Interrupt()
