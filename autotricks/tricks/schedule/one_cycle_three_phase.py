"""One cycle in three phases: up, down as far, and then far below where it began."""
from __future__ import annotations

from itertools import pairwise

from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.traits import Trait
from ...core.trick import Trick


def between(corners: list[tuple[float, float]], step: float) -> float:
    """Return the height at `step` of straight lines through corners (step, height), of which steps rise."""
    for (left, low), (right, high) in pairwise(corners):
        if step <= right:
            return high if right <= left else low + (high - low) * (step - left) / (right - left)
    return corners[-1][1]


class OneCycleThreePhase(Trick):
    """Raise the rate from peak / `div_factor` to its peak, lower it as far in the same time, then far below that.

    The optimizer's rate is the peak; up and down take the fraction `ramp` of training each, and the last step has
    peak / (`div_factor` * `final_div_factor`). It brings its own warm-up. `one_cycle` has one long fall instead of two.

    Paper: Smith and Topin 2018, https://arxiv.org/abs/1708.07120, section 3: one cycle, then several orders of
        magnitude less; as torch's OneCycleLR with three_phase and straight lines has it, step by step.
    Cost: none.
    Deviates: momentum is left to `momentum_cycling`.
    """

    seats = {Slot.SCHEDULE: "shape"}
    provides = frozenset({Trait.CYCLES_RATE})
    ramp: float = tunable(0.45, search=Float(0.3, 0.48), legal=Between(0, 0.5, without=(0.5,)),
                          unit="fraction of training")
    div_factor: float = tunable(10.0, search=Float(10.0, 25.0), legal=at_least(1), unit="peak rate / first rate")
    final_div_factor: float = tunable(1e3, search=Choice(1e2, 1e3, 1e4), legal=at_least(1),
                                      unit="first rate / last rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the three phases over the whole training run, relative to the peak."""
        ramp = self.ramp * run.steps - 1
        first = 1 / self.div_factor
        corners = [(0.0, first), (ramp, 1.0), (2 * ramp, first), (run.steps - 1.0, first / self.final_div_factor)]
        return lambda progress: inner(progress) * between(corners, progress * run.steps)
