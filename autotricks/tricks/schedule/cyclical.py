"""Cyclical learning rate: up and down on straight lines, again and again."""
from __future__ import annotations

import math

from ...core.domain import Above, Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.traits import Trait
from ...core.trick import Trick


def triangle(phase: float) -> float:
    """Return the height, 0 to 1, at `phase` counted in half cycles: 0 at even numbers, 1 at odd ones."""
    return 1 - abs(phase % 2 - 1)


class Cyclical(Trick):
    """Raise the learning rate from `low` times its base to its base and lower it again, `half_cycle` epochs each.

    The peaks stay as high with `triangular`; with `triangular2` each stands half as high over `low` as the one before,
    with `exp_range` they shrink evenly to the fraction `last`. The optimizer's rate is the first peak. It brings its
    own warm-up. Training ends best where a cycle does: where epochs are a multiple of twice `half_cycle`.

    Paper: Smith 2017, https://arxiv.org/abs/1506.01186, section 3.1, as torch's CyclicLR has it, step by step.
    Cost: none.
    Deviates: momentum is left to `momentum_cycling`. `exp_range` says what is left at the end of training, where the
        paper has a factor for each step; so it means the same in a shorter run.
    """

    seats = {Slot.SCHEDULE: "shape"}
    provides = frozenset({Trait.CYCLES_RATE})
    half_cycle: float = tunable(4.0, search=Float(2.0, 8.0), legal=Above(0), unit="epochs")
    low: float = tunable(0.1, search=Choice(0.03, 0.1, 0.3), legal=Between(0, 1), unit="fraction of the base rate")
    mode: str = tunable("triangular", search=Choice("triangular", "triangular2", "exp_range"))
    last: float = tunable(0.1, search=Choice(0.01, 0.1), legal=Between(0, 1, without=(0,)),
                          unit="height of peaks at the end with exp_range, of that at first")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the cycles, which begin with the first step."""
        half = self.half_cycle * run.steps_per_epoch

        def cycling(progress: float) -> float:
            phase = progress * run.steps / half
            height = {"triangular": 1.0, "triangular2": 0.5 ** math.floor(phase / 2),
                      "exp_range": self.last ** progress}[self.mode]
            return float(inner(progress) * (self.low + (1 - self.low) * triangle(phase) * height))
        return cycling
