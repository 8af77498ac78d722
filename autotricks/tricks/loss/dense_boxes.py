"""Dense boxes: at each place of a pyramid what is there, where its edges are, and how near its middle the place is."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait
from ...core.trick import Trick

PER_STRIDE = 4.0        # longer sides of boxes are given to the level whose stride is nearest a quarter of them
EXTRA = 8               # of `autotricks.models.dense`


def assigned(targets: Targets, places: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Return for each place the object that it is to find, and whether there is one: of several the smallest.

    A place is given an object if it lies in its box, no more than `radius` strides from its middle, and on the level
    for its size.

    Shapes:
        targets: of B images with K boxes.
        places: [A, 3], x, y and stride.
        returns: [B, A], int64, and [B, A], bool.
    """
    boxes = targets.boxes
    assert boxes is not None, "objects have boxes"
    x, y, stride = (column[None, :, None] for column in places.unbind(1))
    left, top, right, bottom = (edge.unsqueeze(1) for edge in boxes.unbind(2))       # [B, 1, K]
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    near = torch.maximum((x - (left + right) / 2).abs(), (y - (top + bottom) / 2).abs()) < radius * stride
    longer = torch.maximum(right - left, bottom - top).clamp(min=1)
    strides = places[:, 2].unique()
    away = (longer.unsqueeze(-1) / (PER_STRIDE * strides)).log2().abs()             # [B, 1, K, L]
    own = strides[away.argmin(-1)] == stride
    able = inside & near & own & (targets.shares > 0).unsqueeze(1)
    area = ((right - left) * (bottom - top)).expand_as(able).masked_fill(~able, torch.inf)
    smallest = area.min(2)
    return smallest.indices, smallest.values < torch.inf


def centerness(box: Tensor, points: Tensor) -> Tensor:
    """Return how near to the middle of its box each point is, 1 in the middle and 0 at an edge; equation 3 of FCOS."""
    low = points - box[..., :2]
    high = box[..., 2:] - points
    ratio = torch.minimum(low, high) / torch.maximum(low, high).clamp(min=1e-6)
    return ratio.clamp(min=0).prod(-1).sqrt()


class DenseBoxes(Trick):
    """Answer for every place with focal loss, and for those at objects with the overlap of boxes and the centerness.

    Paper: Tian et al. 2019, https://arxiv.org/abs/1904.01355, sections 3.1 to 3.3 and center sampling; Lin et al. 2017,
        https://arxiv.org/abs/1708.02002, focal loss; Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630, GIoU.
    Cost: a comparison of each place with each box.
    Deviates: an object belongs to the level whose stride is nearest a quarter of its longer side, where the paper has
        ranges of distances. All terms are divided by the objects' places in the whole batch.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.BOXES})
    radius: float = tunable(1.5, search=Float(1.0, 2.5), legal=Above(0), unit="strides")
    gamma: float = tunable(2.0, search=Choice(1.5, 2.0, 2.5), legal=at_least(0), unit="exponent of the focal loss")
    alpha: float = tunable(0.25, search=Choice(0.25, 0.5), legal=Between(0, 1), unit="weight of what is there")
    box: float = tunable(1.0, search=Float(0.5, 3.0, log=True), legal=at_least(0), unit="weight of the overlap")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the sum of the three terms of each image."""
        from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

        def dense(output: Tensor, batch: Batch) -> Tensor:
            classes = output.shape[-1] - EXTRA
            logits, middle, boxes, places = output.float().split([classes, 1, 4, 3], -1)
            chosen, there = assigned(batch.targets, places[0], self.radius)
            whole = batch.whole
            count = (there if whole is batch else assigned(whole.targets, places[0], self.radius)[1]).sum()
            share = len(whole) / count.clamp(min=1)         # so that the mean over images is that over places
            truth = batch.targets.boxes.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 4))  # type: ignore[union-attr]
            label = batch.targets.labels.gather(1, chosen)
            wanted = F.one_hot(label, classes) * there.unsqueeze(-1)
            found = sigmoid_focal_loss(logits, wanted.to(logits.dtype), self.alpha, self.gamma).sum((1, 2))
            center = centerness(truth, places[..., :2]) * there
            apart = generalized_box_iou_loss(boxes, truth) * center
            middling = F.binary_cross_entropy_with_logits(middle.squeeze(-1), center, reduction="none") * there
            return (found + self.box * apart.sum(1) + middling.sum(1)) * share
        return dense
