"""GIoU: compare boxes by their overlap and by what lies empty between them."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.box_losses import with_boxes


def distance(found: Tensor, true: Tensor) -> Tensor:
    """Return 1 - GIoU of each two boxes, in [0, 2]; [N, 4] and [N, 4] to [N]."""
    from torchvision.ops import generalized_box_iou_loss

    losses: Tensor = generalized_box_iou_loss(found, true)
    return losses


class Giou(Trick):
    """Add 1 - GIoU of the boxes at objects: boxes that do not overlap are drawn together too.

    Paper: Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630, algorithm 2.
    Cost: none.
    """

    seats = {Slot.LOSS: "boxes"}
    requires_data = frozenset({DataTrait.BOXES})
    weight: float = tunable(1.0, search=Float(0.5, 3.0, log=True), legal=at_least(0), unit="of the loss of boxes")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with that of boxes."""
        return with_boxes(inner, distance, self.weight)
