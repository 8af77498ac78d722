"""Adaptive gradient clipping: shorten a gradient that is too long for the weights that it belongs to."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.trick import Trick
from ...nn.classifier import classifier

LEAST = 1e-3
TINY = 1e-6    # length that weights and that gradients have at least


def lengths(values: Tensor) -> Tensor:
    """Return the L2 length of each unit: over all dimensions but the first, or of the whole if there is but one.

    Shapes:
        values: [outputs, ...], [N] or [].
        returns: [outputs, 1, ...] or [].
    """
    inside = tuple(range(1, values.ndim)) if values.ndim > 1 else None
    norms: Tensor = torch.linalg.vector_norm(values, dim=inside, keepdim=inside is not None)
    return norms


def clipped(gradient: Tensor, weight: Tensor, ratio: float) -> Tensor:
    """Return the gradient with each unit at most `ratio` times as long as the unit's weights, or as 0.001.

    Shapes:
        gradient: that of the weight.
        returns: the same.
    """
    most = ratio * lengths(weight).clamp(min=LEAST)
    return gradient * (most / lengths(gradient).clamp(min=TINY)).clamp(max=1)


class AdaptiveGradientClipping(Trick):
    """Scale the gradient of each filter to `ratio` times the length of the filter's weights where it is longer.

    A unit is a filter of a convolution, an output of a linear layer, or a bias or norm as a whole; one shorter than
    0.001 counts as that long. The classifier is left as it is.

    Paper: Brock et al. 2021, https://arxiv.org/abs/2102.06171, equation 3 and section 4.1.
    Cost: three passes over weights and gradients; the device is not waited for.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.GRADIENTS: "clip"}
    ratio: float = tunable(0.01, search=Float(0.01, 0.1, log=True), legal=Above(0),
                           unit="length of a gradient / length of its weights")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients in proportion to their weights."""
        head = set(run.model.get_submodule(classifier(run.model, run.classes)).parameters())
        weights = [weight for weight in run.model.parameters() if weight not in head]

        def short(batch: Batch) -> Tensor:
            loss = inner(batch)
            for weight in weights:
                if weight.grad is not None:
                    weight.grad = clipped(weight.grad, weight.detach(), self.ratio)
            return loss
        return short
