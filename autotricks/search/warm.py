"""What a process imports once so that the trials in it need not wait; imported by the server of worker processes."""
from __future__ import annotations

from ..catalog import catalog
from . import climb

catalog()
climb.warm_up(1)
