"""Cosine: lower the learning rate along half a cosine."""
from __future__ import annotations

import math

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


def cosine(progress: float, final: float) -> float:
    """Return the factor at `progress` in [0, 1]: 1 at the start, `final` at the end."""
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


class Cosine(Trick):
    """Lower the learning rate from its base to `final` times its base along half a cosine, step by step.

    Paper: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5, without restarts.
    Cost: none.
    """

    seats = {Slot.SCHEDULE: "shape"}
    final: float = tunable(0.0, search=Float(0.0, 0.01), legal=Between(0, 1), unit="fraction of the base rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the cosine over the whole training run."""
        return lambda progress: inner(progress) * cosine(progress, self.final)
