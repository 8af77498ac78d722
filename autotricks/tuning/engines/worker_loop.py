"""What a worker process of the local engine does; apart from the engine, all of which it would import at its start."""
from __future__ import annotations

import traceback
from multiprocessing.connection import Connection
from typing import Any

from ...errors import RankError
from ...system.workers import follow_parent
from .device_team import DeviceGroup
from .rung_training import watch


def work(pipe: Connection, shared: dict[str, Any], where: tuple[str, ...], threads: int) -> None:
    """Train what arrives on the pipe until it closes: a bundle begins to climb, None goes on with the one at hand."""
    follow_parent()
    group = DeviceGroup(shared, where, threads, watch)
    while True:
        try:
            plan, bundle, rung = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(group.reach(plan, bundle, rung))
        except RankError as error:
            pipe.send(error)
            return      # a fresh process trains this trial again
        except Exception:
            pipe.send(traceback.format_exc(limit=-4))
