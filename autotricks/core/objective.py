"""Objective: which figure a search is for, and which must not be lost for it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPEED = "train/images_per_second"


@dataclass(frozen=True)
class Keep:
    """A figure that the best bundle must not lose.

    Args:
        metric: Its name, `val/...`.
        within: How much worse than the baseline's it may be, in its own unit.
    """

    metric: str
    within: float


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

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Objective:
        """Return what the `objective:` section of a space says."""
        keep = section.get("keep")
        return cls(section.get("metric", cls.metric), section.get("mode") != "min", Keep(**keep) if keep else None)

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
        return loss(self.keep.metric, ours, theirs) > self.keep.within + 1e-9  # 0.9 - 0.89 is a hair above 0.01


def loss(metric: str, ours: float, theirs: float) -> float:
    """Return by how much `ours` is worse than `theirs`; negative where it is better."""
    return ours - theirs if less_is_better(metric) else theirs - ours


def less_is_better(metric: str) -> bool:
    """Return whether a figure of this name is better when it is smaller."""
    return metric.endswith(("loss", "error"))
