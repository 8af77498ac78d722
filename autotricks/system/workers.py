"""Worker processes, forked from one server that imports torch while the rest of the program starts."""
from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from pathlib import Path

from .short_paths import folder_for, temporary_files_in

KILLED = {-9: ": killed, for want of memory if nobody did it", -14: ": no epoch ended within search.patience"}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SOCKET = "pymp-xxxxxxxx/listener-xxxxxxxx"      # of the server, below the folder of temporary files
_SILENT = "ignore:resource_tracker"     # it tidies up behind the killed, and need not tell


def cores() -> int:
    """Return the cores that this process may use, by affinity and the container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(count, int(int(quota) / int(period)))) if quota != "max" else count
    except (OSError, ValueError):
        return count


def forked(preload: Sequence[str], threads: int = 1) -> BaseContext:
    """Return a context to start processes in; start their server, which begins to import, if it is not up.

    A forked process has torch at once, and shares its memory with the others. The server must not have worker threads:
    the libraries' thread counts are fixed in its environment, and a process may raise its own with
    `torch.set_num_threads`. Where there is no fork, each process imports for itself. What a terminal sends to all is
    the caller's to hear: the server starts with these signals blocked, and so do the processes that it forks and
    Python's own tracker.

    Args:
        preload: Names of the modules that the server imports once for all.
        threads: Of each process.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    from .forked_process import Context, main_program_kept_back

    context = Context()
    context.set_forkserver_preload([*preload])
    before = {name: os.environ.get(name) for name in (*THREADS, "PYTHONWARNINGS")}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before["PYTHONWARNINGS"], _SILENT]))
    try:
        with deaf("SIGHUP"):
            resource_tracker.ensure_running()   # which unblocks SIGINT itself
        with deaf("SIGHUP", "SIGINT"), temporary_files_in(folder_for(SOCKET)), main_program_kept_back():
            forkserver.ensure_running()
        atexit.register(_end, forkserver._forkserver._forkserver_pid, os.getpid())  # type: ignore[attr-defined]
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return context


def forking() -> BaseContext | None:
    """Return a context whose processes have at once all that this one has imported; None where forking is not safe.

    It is for processes that neither compute in threads nor touch a GPU, such as those that read images. Asked for by
    name, for a process of the server above would start a server of its own, and each below that imports torch again.
    """
    return multiprocessing.get_context("fork") if sys.platform == "linux" else None


@contextmanager
def children_ended() -> Iterator[None]:
    """End the processes that were started inside where something goes wrong: a pool would wait for what they do."""
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()
        raise


def _end(server: int, ours: int) -> None:
    """End the server, which would first import what nobody waits for any more."""
    if os.getpid() == ours:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)


@contextmanager
def deaf(*names: str) -> Iterator[None]:
    """Block signals in this thread; processes that it starts meanwhile never hear them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in names})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def died(exitcode: int | None) -> str:
    """Return in words what an exit code says of how a process died."""
    return f"exit code {exitcode}{KILLED.get(exitcode or 0, '')}"


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
