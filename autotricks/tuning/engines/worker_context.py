"""Where processes that train are started: forked from one server that has imported what trials need."""
from __future__ import annotations

from multiprocessing.context import BaseContext

from ...system.workers import forked

PRELOAD = "autotricks.tuning.engines.preload"


def worker_context(threads: int = 1) -> BaseContext:
    """Return a context for processes that train; its server begins to import if it is not up."""
    return forked([PRELOAD], threads)
