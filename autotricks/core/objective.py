"""Objective: which figure a search is for, and which must not be lost for it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .task import Metric

SPEED = "train/images_per_second"
TRAINING = (Metric("train/loss", "loss", maximize=False), Metric(SPEED, "images per second"))  # which every task has


@dataclass(frozen=True)
class Keep:
    """A figure that the best bundle must not lose.

    Args:
        metric: Its name, `val/...`.
        within: How much worse than the baseline's it may be, in its own unit.
        maximize: Whether more of it is better.
    """

    metric: str
    within: float
    maximize: bool = True


@dataclass(frozen=True)
class Objective:
    """What is to be best.

    Args:
        metric: Name of the figure.
        maximize: Whether more of it is better.
        keep: What must not be lost for it, as compared with the baseline of the same search.
    """

    metric: str = "val/balanced_accuracy"
    maximize: bool = True
    keep: Keep | None = None

    @property
    def sign(self) -> int:
        """1 if more of the figure is better, else -1."""
        return 1 if self.maximize else -1

    def lost(self, metrics: Mapping[str, float | None], baseline: Mapping[str, float | None] | None) -> bool:
        """Return whether a bundle has lost more of what is to be kept than is allowed.

        Without a baseline to compare with everything counts as lost, since nobody can say.
        """
        if self.keep is None:
            return False
        ours, theirs = (values.get(self.keep.metric) if values else None for values in (metrics, baseline))
        if ours is None or theirs is None:
            return True
        lost = theirs - ours if self.keep.maximize else ours - theirs
        return lost > self.keep.within + 1e-9  # 0.9 - 0.89 is a hair above 0.01
