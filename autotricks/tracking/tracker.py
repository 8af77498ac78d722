"""Tracker: what a search tells a tracking server."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .model_registry import Entry

Row = Mapping[str, float]


class Tracker:
    """Takes in a search as it happens, or later. No call waits for a server, and none raises.

    Every run below the search's has a key. Whatever a server has already is not put there again, so that everything
    may be told twice.

    Attributes:
        standing: One line that says which alias a registered model has, and why; empty if none was registered.
    """

    standing: str = ""

    def started(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the search's run, or go on in it."""

    def opened(self, key: str, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str],
               below: str = "") -> None:
        """Open a run below the one with the key `below`, the search's if that is empty; or go on in it."""

    def rows(self, key: str, rows: Sequence[Row], first_step: int) -> None:
        """Add rows of metrics, one an epoch, at consecutive steps; `epoch` in a row is no metric.

        The rows may still be on disk: they are looked at when they are written.
        """

    def closed(self, key: str, name: str, tags: Mapping[str, str], metrics: Row) -> None:
        """Rename and close a run with its last figures."""

    def artifact(self, path: Path) -> None:
        """Attach a file to the search's run."""

    def register(self, entry: Entry) -> None:
        """Register a confirmed champion as a version of a model."""

    def ended(self, metrics: Row, tags: Mapping[str, str]) -> None:
        """Close the search's run."""

    def close(self, seconds: float, slow: float = math.inf) -> str | None:
        """Wait for what is still under way; return one line of what went wrong, if anything did.

        Args:
            seconds: To wait at most.
            slow: To wait at most for a server that takes long to answer.
        """


class NullTracker(Tracker):
    """Tracks nothing: every call does nothing."""
