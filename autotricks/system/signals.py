"""Interrupt: Ctrl-C, a closed terminal and a polite kill end a command in order; a second one ends it at once."""
from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

CODE = 130
GRACE = 8.0
LITTLE = 2.0    # seconds that putting things in order may take; where there is nothing to put in order
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupt:
    """Turns the first signal into `KeyboardInterrupt`; a second one, or too long a wait, leaves with all children.

    A thread watches, since Python tells the main thread of a signal only where that is not inside a library.

    Attributes:
        came: Whether a signal did.
        farewell: Says how to go on.
        grace: Seconds after which a command is left at once.
        at_once: Signals after which nothing can be put in order.
    """

    def __init__(self) -> None:
        self.farewell: Callable[[], str] = lambda: "Interrupted."
        self.grace = LITTLE     # what a library swallows, such as an import, is not waited for long
        self.at_once: set[int] = set()
        self.came = False
        self._below: dict[int, str] = {}
        self._leaving = threading.Lock()

    def expect(self, farewell: Callable[[], str]) -> None:
        """Give a command that has something to put in order the time for it, and its last line."""
        self.farewell = farewell
        self.grace = GRACE

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while a command runs; what the caller has had ignored, as `nohup` does, stays ignored."""
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        ours = {number for number in numbers if before[number] not in (signal.SIG_IGN, None)}
        here, there = socket.socketpair()
        there.setblocking(False)
        threading.Thread(target=self._watch, args=(here, ours), daemon=True).start()
        self._there = there     # kept: a signal that comes after this command's end is still written to it
        wakeup_fd = signal.set_wakeup_fd(there.fileno())
        for number in ours:
            signal.signal(number, self._hear)
        unraised = sys.unraisablehook
        sys.unraisablehook = self._lost
        try:
            yield
        finally:
            if not self.came:       # a second one may come while the program ends
                for number in ours:
                    signal.signal(number, before[number])
                signal.set_wakeup_fd(wakeup_fd)
                sys.unraisablehook = unraised
                there.close()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.came and number not in self.at_once:
            self.came = True
            raise KeyboardInterrupt

    def _lost(self, what: sys.UnraisableHookArgs) -> None:
        """Leave at once where Python drops `KeyboardInterrupt`, as in a finalizer; the command would go on."""
        if self.came and issubclass(what.exc_type, KeyboardInterrupt):
            self._leave()
        sys.__unraisablehook__(what)

    def _watch(self, here: socket.socket, ours: set[int]) -> None:
        """Read the numbers of signals as they come, until the other end is closed."""
        first = True
        while number := here.recv(1):
            if number[0] in ours:
                if not first or number[0] in self.at_once:
                    self._leave()
                first = False
                self._below = below(os.getpid())    # those whose parents end first are nobody's children by then
                late = threading.Timer(self.grace, self._leave)
                late.daemon = True
                late.start()
        here.close()

    def _leave(self) -> None:
        self._leaving.acquire()     # for good: another thread may be about to leave
        show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""      # the live table hides the cursor
        os.write(2, f"{show_cursor}{self.farewell()}\n".encode())
        self.end()

    def end(self) -> NoReturn:
        """End every process below this one, then this one; whoever has waited for order need not wait for Python."""
        now = _processes()
        for number, born in {**self._below, **below(os.getpid(), now)}.items():
            if now.get(number, ("", ""))[1] == born:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        os._exit(CODE)


def below(root: int, known: dict[int, tuple[str, str]] | None = None) -> dict[int, str]:
    """Return the processes that descend from one, and when they began, where the system lists them."""
    known = known or _processes()
    descendants: dict[int, str] = {}
    new = {root}
    while new:
        new = {number for number, (parent, _) in known.items() if parent in map(str, new)}
        descendants |= {number: known[number][1] for number in new}
    return descendants


def _processes() -> dict[int, tuple[str, str]]:
    """Return the parent of every process, and when it began."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            processes[int(path.parent.name)] = fields[1], fields[19]
    return processes


interrupt = Interrupt()
