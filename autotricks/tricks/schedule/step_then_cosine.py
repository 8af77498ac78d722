"""Step, then cosine: drop the learning rate in the first part of training, anneal it in the second."""
from __future__ import annotations

import math

from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


class StepThenCosine(Trick):
    """Multiply the learning rate by `factor` at the fraction `drop`, and lower it along half a cosine from `switch` on.

    The cosine goes from the rate that the drop left to `final` times the base rate, or stays where it is if that is
    higher. Both moments are rounded to whole steps as window edges are. A drop at `switch` or later comes at `switch`.

    Paper: a hybrid of practice without a paper of its own; its parts are the step decay and the cosine of He et al.
        2018, https://arxiv.org/abs/1812.01187, section 5.1.
    Cost: none.
    """

    seats = {Slot.SCHEDULE: "shape"}
    drop: float = tunable(0.25, search=Float(0.1, 0.45), legal=Between(0, 1), unit="fraction of training")
    switch: float = tunable(0.5, search=Float(0.45, 0.7), legal=Between(0, 1, without=(1,)),
                            unit="fraction of training")
    factor: float = tunable(0.1, search=Choice(0.1, 0.2, 0.5), legal=Between(0, 1, without=(0,)))
    final: float = tunable(0.0, search=Choice(0.0, 1e-3, 1e-2), legal=Between(0, 1), unit="fraction of the base rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the two parts, at whole optimizer steps."""
        drop, switch = (round(moment * run.steps) / run.steps for moment in (min(self.drop, self.switch), self.switch))
        lowest = min(self.final, self.factor)

        def hybrid(progress: float) -> float:
            if progress < switch:
                return inner(progress) * (self.factor if progress >= drop else 1.0)
            fraction = (progress - switch) / (1 - switch) if switch < 1 else 1.0
            return inner(progress) * (lowest + (self.factor - lowest) * (1 + math.cos(math.pi * fraction)) / 2)
        return hybrid
