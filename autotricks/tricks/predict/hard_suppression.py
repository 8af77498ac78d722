"""Hard suppression: of several boxes of a class on one object the likeliest is left."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.suppression import with_suppression


class HardSuppression(Trick):
    """Leave out boxes that overlap a likelier one of their class by more than `overlap`.

    Also called non-maximum suppression.

    Paper: Girshick et al. 2014, https://arxiv.org/abs/1311.2524, section 2.2.
    Cost: a hundred rounds over the likeliest boxes of all images at once, in evaluation alone.
    """

    seats = {Slot.PREDICT: "suppress"}
    requires_data = frozenset({DataTrait.BOXES})
    overlap: float = tunable(0.6, search=Float(0.4, 0.7), legal=Between(0, 1), unit="intersection over union")
    looked: int = tunable(300, search=Choice(300), legal=at_least(1), unit="likeliest boxes of an image")

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return what says the likeliest objects of each image alone."""
        def decay(overlap: Tensor) -> Tensor:
            return (overlap <= self.overlap).to(overlap.dtype)

        return with_suppression(inner, decay, self.looked)
