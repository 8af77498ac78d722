"""Cluster: the Ray that a search runs on."""
from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

from ...system.short_paths import folder_for
from ...system.signals import interrupt
from ...system.workers import cores, deaf

RAY_ENV = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_AIR_NEW_OUTPUT": "0",
           "TUNE_GLOBAL_CHECKPOINT_S": "86400", "TUNE_DISABLE_SIGINT_HANDLER": "1",
           "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
           "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
           # trials get processes of their own, which idle ones would slow down
           "RAY_prestart_worker_first_driver": "0",
           # Ray's own choice is 15, with which a search beside other work waits for it: on a machine of two cores with
           # nine busy processes the first step came after 180 s, and after 32 s so
           "RAY_worker_niceness": "0"}
SOCKET = "ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"     # of Ray, below TMPDIR


def connect(address: str | None = None, cpus: int = 0) -> None:
    """Start Ray on this machine, or join a cluster. Ray's processes die with the thread that calls this.

    Args:
        address: A cluster's; None starts Ray here.
        cpus: Cores to start it with; 0 takes those that this process may use.
    """
    import ray

    os.environ.update({name: value for name, value in RAY_ENV.items() if name not in os.environ})
    logging.getLogger("ray").setLevel(logging.CRITICAL)    # a lost trial is ours to tell, and not with a traceback
    if not ray.is_initialized():
        options: dict[str, Any] = {"address": address} if address else {
            "address": "local", "num_cpus": cpus or cores(), "include_dashboard": False}
        if "TMPDIR" in os.environ and not address:
            os.environ.setdefault("RAY_TMPDIR", folder_for(SOCKET))
        before = signal.getsignal(signal.SIGTERM)
        with deaf("SIGHUP"):       # a closed terminal is the driver's to hear; Ray blocks Ctrl-C itself
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False, **options)
        if not address:
            interrupt.at_once |= {signal.SIGTERM}   # sent to all, it ends Ray first, and whoever then asks Ray hangs
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)       # Ray puts its own there
