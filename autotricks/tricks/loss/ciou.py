"""CIoU: compare boxes by their overlap, their middles and their shapes."""
from __future__ import annotations

from ...core.domain import Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.box_losses import ciou_loss, with_boxes


class Ciou(Trick):
    """Add 1 - CIoU of the boxes at objects: of two as good overlaps the one counts less that lies in the middle.

    With `small` each box counts (2 - w h) * 1.5 times, w and h its sides as parts of the image's: a common weight in
    competitions for small objects, after 2 - w h of Redmon and Farhadi 2018, https://arxiv.org/abs/1804.02767.

    Paper: Zheng et al. 2020, https://arxiv.org/abs/1911.08287, equations 7 to 11.
    Cost: none.
    """

    seats = {Slot.LOSS: "boxes"}
    requires_data = frozenset({DataTrait.BOXES})
    weight: float = tunable(1.0, search=Float(0.5, 3.0, log=True), legal=at_least(0), unit="of the loss of boxes")
    small: bool = tunable(False, search=Choice(False, True), unit="times (2 - w h) * 1.5")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with that of boxes."""
        return with_boxes(inner, ciou_loss, self.weight, self.small)
