"""Proposal: what a sampler wants to be trained next, and why."""
from __future__ import annotations

from dataclasses import dataclass

from ..core.bundle import Bundle
from ..core.domain import Value

Picks = dict[str, Value]


@dataclass(frozen=True)
class Proposal:
    """A bundle to train.

    Args:
        bundle: With its seed.
        picks: What draws it from its space; None where the space does not hold it.
        why: In words; empty where the sampler has none.
        kind: Of step that led to it.
        promise: How much better than the best it is expected to be, as the sampler counts.
    """

    bundle: Bundle
    picks: Picks | None
    why: str = ""
    kind: str = ""
    promise: float = 0.0
