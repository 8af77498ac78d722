"""A process that does what it is told, call by call, and may hang or die without harm to the others.

It is forked, so it has all that this process has imported. Start it before this process uses the GPU, which a process
that is forked later could not.
"""
from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

FORK = multiprocessing.get_context("fork")


class Lost(RuntimeError):
    """A worker gave no answer, or none but a traceback."""


class Worker:
    """A process that carries out functions.

    Attributes:
        line: To the process; ready when there is an answer, or the process has died.
    """

    def __init__(self) -> None:
        self.line, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_work, args=(theirs, self.line), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a function called with these arguments; `answer` returns what came of it."""
        self.line.send((function, arguments))

    def answer(self, seconds: float) -> Any:
        """Return what the function that was begun returned.

        Raises:
            Lost: Where it raised, with the traceback; or the process died, or took longer than so many seconds.
        """
        if not self.line.poll(max(seconds, 0)):
            self.end()
            raise Lost(f"no answer in {seconds:.0f} s")
        try:
            good, answer = self.line.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise Lost(f"the process died: exit code {self._process.exitcode}") from None
        if not good:
            raise Lost(answer)
        return answer

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self.line.close()


def _work(line: Connection, other: Connection) -> None:
    other.close()
    while True:
        try:
            function, arguments = line.recv()
        except EOFError:
            return
        try:
            line.send((True, function(*arguments)))
        except Exception:
            line.send((False, traceback.format_exc()))
