"""Ranks: processes of this machine that train one bundle together, a device each."""
from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from ...errors import RankError
from ...system.workers import died, follow_parent
from ...trainer.distributed import abort, join, part_ways
from .worker_context import worker_context

NOTICE = 3.0
ABORT = 20.0   # seconds until a rank that is gone is missed, and until waiting for it cannot be ended
MOMENT = 0.3                # seconds within which a rank that waits for one that is gone ends too
MISSED = ("RuntimeError", "DistBackendError")      # what it says then

Do = Callable[..., object]


class RankProcesses:
    """The other ranks beside this process, which is rank 0: one on each device but the first.

    Each calls `make` and then what it returned with whatever it is told. They end with this process, even if it is
    killed; whichever ends first, nobody waits for it.

    Args:
        devices: One for each rank.
        make: Called with the rank's device and `given`; returns what is to be called.
        given: What the processes need; it is copied to each.

    Raises:
        RankError: When one of them ends before it is ready.
    """

    def __init__(self, devices: Sequence[str], make: Callable[..., Do], *given: Any):
        self._devices = devices
        self._noticed = threading.Event()
        self._closed = self._lost = False
        self._room = tempfile.TemporaryDirectory(prefix="autotricks-")
        context: Any = worker_context()
        self._processes = []
        self._pipes = list[Connection]()
        meeting = Path(self._room.name) / "ranks"
        for rank in range(1, len(devices)):
            here, there = context.Pipe()
            self._processes.append(context.Process(target=_follow, args=(there, rank, meeting, devices, make, given)))
            self._processes[-1].start()
            there.close()
            self._pipes.append(here)
        for index, pipe in enumerate(self._pipes):
            try:
                ready = pipe.recv()
            except (EOFError, OSError):
                ready = ("", None)
            if ready is not None:
                words = self._words(index, ready[0])
                self.close()
                raise RankError(words)
        threading.Thread(target=self._watch, daemon=True).start()
        join(0, len(devices), meeting, torch.device(devices[0]))

    def tell(self, *message: Any) -> None:
        """Let every other rank call what it made; one that is gone is missed as soon as it is waited for."""
        for pipe in self._pipes:
            with suppress(BrokenPipeError, ConnectionResetError):
                pipe.send(message)

    @contextmanager
    def lockstep(self) -> Iterator[None]:
        """Do here what the others were told to do; where that fails, all others end, and it says whose fault it was.

        Raises:
            RankError: When another rank is gone.
            torch.OutOfMemoryError: When another rank ran out of memory.
        """
        try:
            yield
            if self._lost:
                raise RuntimeError("what was computed last is not what all ranks have")
        except BaseException as error:
            fault = self._fault(NOTICE) if isinstance(error, (RuntimeError, ValueError)) else None
            self.close()
            if fault is None or fault[1] == _error_text(error):
                raise
            index, error_text, memory = fault
            if memory:
                raise torch.OutOfMemoryError(self._words(index, error_text)) from error
            raise RankError(self._words(index, error_text)) from error

    def close(self) -> None:
        """End the other ranks; this process is then alone."""
        self._closed = True
        self._noticed.set()
        for process in self._processes:
            process.kill()
            process.join()
        for pipe in self._pipes:
            pipe.close()
        part_ways()
        self._room.cleanup()

    def _fault(self, seconds: float) -> tuple[int, str, bool] | None:
        """Return which rank has ended first, what it said of it, and whether it was for want of memory."""
        sentinels = [process.sentinel for process in self._processes]
        if not wait(sentinels, seconds):
            return None
        time.sleep(MOMENT)      # those that miss it end too; theirs is not the fault
        ended = [self._last(sentinels.index(sentinel)) for sentinel in wait(sentinels, 0)]
        return min(ended, key=lambda fault: fault[1].startswith(MISSED))

    def _last(self, index: int) -> tuple[int, str, bool]:
        try:
            error_text, memory = self._pipes[index].recv()
            return index, error_text, memory
        except (EOFError, OSError):
            return index, "", False

    def _words(self, index: int, error_text: str) -> str:
        process = self._processes[index]
        process.join(NOTICE)
        how = error_text or f"its process died, {died(process.exitcode)}"
        return f"{self._devices[index + 1]}, one of {len(self._devices)} devices: {how}"

    def _watch(self) -> None:
        """Where a rank is gone, and the devices of the others wait for it nevertheless, as NCCL's do: end the wait."""
        wait([process.sentinel for process in self._processes])
        if self._closed or self._noticed.wait(NOTICE):
            return
        self._lost = True
        abort()
        if not self._noticed.wait(ABORT):
            gone = next(index for index, process in enumerate(self._processes) if process.exitcode is not None)
            print(f"{self._words(gone, '')}; this process cannot stop waiting for it and ends too.", file=sys.stderr)
            os._exit(1)


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _follow(pipe: Connection, rank: int, meeting: Path, devices: Sequence[str], make: Callable[..., Do],
            given: tuple[Any, ...]) -> None:
    """Do as told until the pipe closes; what goes wrong is said, and ends this process, so that nobody waits for it."""
    follow_parent()
    try:
        do = make(devices[rank], *given)
        pipe.send(None)
        join(rank, len(devices), meeting, torch.device(devices[rank]))
        while True:
            do(*pipe.recv())
    except (EOFError, ConnectionResetError):
        return
    except Exception as error:
        with suppress(OSError):
            pipe.send((_error_text(error), isinstance(error, torch.OutOfMemoryError)))
        os._exit(1)     # at once: what waits for this rank must see it go
