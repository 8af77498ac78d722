"""Constant: the learning rate stays as it is."""
from __future__ import annotations

from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


class Constant(Trick):
    """Keep the learning rate constant.

    Paper: Robbins and Monro 1951, https://doi.org/10.1214/aoms/1177729586, is the classic on why to lower it.
    Cost: none.
    """

    seats = {Slot.SCHEDULE: "shape"}

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the factor 1 at any progress."""
        return inner
