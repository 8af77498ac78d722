"""What a process imports once so that the trials in it need not wait; imported by the server of worker processes."""
from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)    # Ctrl-C is the search's to hear, also while the server still imports

from ...tricks.catalog import catalog  # noqa: E402
from . import rung_training  # noqa: E402

catalog()
rung_training.warm_up(1)
