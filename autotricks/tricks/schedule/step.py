"""Step: drop the learning rate at two moments of training."""
from __future__ import annotations

from collections.abc import Iterable

from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


def step(progress: float, milestones: Iterable[float], factor: float) -> float:
    """Return `factor` to the power of the milestones reached at `progress`."""
    return float(factor ** sum(progress >= milestone for milestone in milestones))


class Step(Trick):
    """Multiply the learning rate by `factor` at the fraction `first` of training and again at `second`.

    The defaults are those of long-tailed CIFAR, epochs 160 and 180 of 200. Milestones are rounded to whole steps as
    window edges are, so that a trick whose window opens at a milestone starts with the lower rate. A milestone at 1
    is never reached; the order of the two does not matter.

    Paper: Cao et al. 2019, https://arxiv.org/abs/1906.07413, training details of CIFAR: times 0.01 at 160 and 180.
    Cost: none.
    """

    seats = {Slot.SCHEDULE: "shape"}
    first: float = tunable(0.8, search=Float(0.3, 0.8), legal=Between(0, 1), unit="fraction of training")
    second: float = tunable(0.9, search=Float(0.6, 0.95), legal=Between(0, 1), unit="fraction of training")
    factor: float = tunable(0.01, search=Choice(0.01, 0.1), legal=Between(0, 1, without=(0,)))

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the steps, at whole optimizer steps."""
        milestones = tuple(round(moment * run.steps) / run.steps for moment in (self.first, self.second))
        return lambda progress: inner(progress) * step(progress, milestones, self.factor)
