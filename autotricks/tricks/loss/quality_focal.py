"""Quality focal: let the probability of a class say how well the box fits."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...core.batch import Batch
from ...core.dense import Dense
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Model, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...errors import ModelError
from ...functional.assignment import per_place
from ...functional.boxes import overlap

SURE = 100.0    # a logit whose probability is 1 in float32


def quality_focal(logits: Tensor, quality: Tensor, beta: float) -> Tensor:
    """Return |y - p|^beta times the binary cross-entropy of p against y, elementwise.

    Shapes:
        logits: [...]; p is their sigmoid.
        quality: [...], y, in [0, 1].
        returns: [...].
    """
    wrong = (quality - logits.sigmoid()).abs() ** beta
    return wrong * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


class _Sure(nn.Module):
    """What stands in the place of the layer of the centerness: everything lies in the middle."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits, [B, 1, h, w], from [B, F, h, w]."""
        return maps[:, :1] * 0 + SURE


class QualityFocal(Trick):
    """Train the probability of an object's class towards the overlap of the box that is found with the true one.

    What is ranked by is then what is trained: in place of a probability and a centerness, whose product is taken only
    when predicting, there is one figure. The layer of the centerness is taken out of the model, and its answer is 1.

    Paper: Li et al. 2020, https://arxiv.org/abs/2006.04388, equation 2.
    Cost: an overlap for each place.
    Deviates: the loss of boxes is weighed by centerness, as it is without this trick, not by the probability.

    Raises:
        ModelError: When the model has no layer `center`.
    """

    seats = {Slot.LOSS: "base", Slot.MODEL: "head"}
    requires_data = frozenset({DataTrait.BOXES})
    beta: float = tunable(2.0, search=Float(1.0, 3.0), legal=at_least(0), unit="exponent")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model without its centerness."""
        if not isinstance(getattr(inner, "center", None), nn.Module):
            raise ModelError(f"quality_focal: {type(inner).__name__} has no layer `center` that says how near to the "
                             "middle of an object a place is. Take fcos:NAME, or drop quality_focal.")
        inner.center = _Sure()
        return inner

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the quality focal loss of each image."""
        def answered(output: Tensor, batch: Batch) -> Tensor:
            said = Dense.of(output)
            targets = batch.targets
            assert targets.boxes is not None, "objects have boxes"
            nothing = quality_focal(said.logits, said.logits.new_zeros(()).expand_as(said.logits), self.beta)
            label = targets.labels.unsqueeze(2)
            fit = overlap(said.boxes.detach(), targets.boxes)
            right = quality_focal(said.logits.gather(2, label).squeeze(2), fit, self.beta) * targets.shares
            wrong = nothing.gather(2, label).squeeze(2) * (targets.shares > 0)
            return per_place(nothing.sum((1, 2)) + (right - wrong).sum(1), batch)
        return answered
