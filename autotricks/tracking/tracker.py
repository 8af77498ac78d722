"""Tracker: what a search tells a tracking server."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, float]


class Tracker:
    """Takes in a search as it happens. No call waits for a server, and none raises."""

    def began(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the parent run."""

    def trial(self, number: int, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open a trial's run."""

    def rows(self, number: int, rows: Sequence[Row], first_step: int) -> None:
        """Add one row of metrics an epoch to a trial."""

    def trial_ended(self, number: int, name: str, tags: Mapping[str, str], metrics: Row) -> None:
        """Close a trial's run with its last figures."""

    def artifact(self, path: Path) -> None:
        """Attach a file to the parent run."""

    def register(self, name: str, files: Sequence[Path], shape: Sequence[int], classes: int,
                 tags: Mapping[str, str]) -> None:
        """Register the files of a bundle as a new version of a model."""

    def ended(self, metrics: Row, tags: Mapping[str, str]) -> None:
        """Close the parent run."""

    def close(self, seconds: float) -> str | None:
        """Wait at most so long for what is still under way; return one line of what went wrong, if anything did."""


class NullTracker(Tracker):
    """Tracks nothing: every call does nothing."""
