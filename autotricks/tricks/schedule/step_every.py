"""Step every k epochs: a staircase of even steps."""
from __future__ import annotations

import math

from ...core.domain import Above, Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


def drops(step: int, every: float) -> int:
    """Return how many multiples of `every`, 0 aside, lie at `step` or before."""
    return math.floor(step / every + 1e-9)  # a whole number of epochs is a whole number, whatever the division says


class StepEvery(Trick):
    """Multiply the learning rate by `factor` every `epochs` epochs.

    Many small drops come near an exponential decay.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 5.1: times 0.1 every 30 epochs, and times 0.94
        every two, as Inception has it.
    Cost: none.
    """

    seats = {Slot.SCHEDULE: "shape"}
    epochs: float = tunable(9.0, search=Float(1.0, 30.0, log=True), legal=Above(0), unit="epochs")
    factor: float = tunable(0.1, search=Choice(0.1, 0.2, 0.5, 0.94), legal=Between(0, 1, without=(0,)))

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the staircase."""
        every = self.epochs * run.steps_per_epoch
        return lambda progress: float(inner(progress) * self.factor ** drops(round(progress * run.steps), every))
