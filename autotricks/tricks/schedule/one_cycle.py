"""One cycle: one rise of the learning rate to its peak and one long fall far below its start."""
from __future__ import annotations

import math

from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.traits import Trait
from ...core.trick import Trick


def anneal(start: float, stop: float, fraction: float) -> float:
    """Return the point at `fraction` in [0, 1] of half a cosine from `start` to `stop`."""
    return stop + (start - stop) * (1 + math.cos(math.pi * fraction)) / 2


class OneCycle(Trick):
    """Raise the rate along half a cosine from peak / `div_factor` to its peak, then lower it far below that start.

    The optimizer's rate is the peak; the last step has peak / (`div_factor` * `final_div_factor`). It brings its own
    warm-up.

    Paper: Smith and Topin 2018, https://arxiv.org/abs/1708.07120, section 3; with the two cosine phases of torch's
        OneCycleLR, which it equals step by step.
    Cost: none.
    Deviates: momentum is left to `momentum_cycling`; cosines in place of straight lines; two phases, not three.
    """

    seats = {Slot.SCHEDULE: "shape"}
    provides = frozenset({Trait.CYCLES_RATE})
    pct_start: float = tunable(0.3, search=Float(0.2, 0.45), legal=Between(0, 1, without=(1,)),
                               unit="fraction of training")
    div_factor: float = tunable(25.0, search=Float(10.0, 25.0), legal=at_least(1), unit="peak rate / first rate")
    final_div_factor: float = tunable(1e4, search=Choice(1e3, 1e4, 1e5), legal=at_least(1),
                                      unit="first rate / last rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the cycle over the whole training run, relative to its peak."""
        peak = self.pct_start * run.steps - 1
        last = run.steps - 1
        first = 1 / self.div_factor

        def cycle(progress: float) -> float:
            step = progress * run.steps
            if step < peak:
                return inner(progress) * anneal(first, 1.0, step / peak)
            return inner(progress) * anneal(1.0, first / self.final_div_factor, (step - peak) / (last - peak))
        return cycle
