"""Learning-rate floor: never let the schedule go below a small rate."""
from __future__ import annotations

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


class LrFloor(Trick):
    """Keep the learning rate at `fraction` of its base or above, whatever schedule and warm-up say.

    Paper: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, equation 5, the lowest rate of the range.
    Cost: none.
    Deviates: the schedule is cut off at the floor, not stretched to end there.
    """

    seats = {Slot.SCHEDULE: "floor"}
    fraction: float = tunable(1e-3, search=Float(1e-6, 1e-3, log=True), legal=Between(0, 1),
                              unit="fraction of the base rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the larger of the schedule and the floor."""
        return lambda progress: max(inner(progress), self.fraction)
