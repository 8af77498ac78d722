"""Gradient penalty: add the squared length of the gradient to the loss."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.sharpness import twice, uphill
from ...functional.tensor_lists import added, less, times

RADIUS = 0.01   # L2 length of the step over which curvature is measured


def curved(here: list[Tensor], there: list[Tensor], weight: float) -> list[Tensor]:
    """Return the gradient of L + weight * |g|^2 from the gradients g of L here and `RADIUS` uphill from here.

    The gradient of |g|^2 is 2 H g, and H g / |g| is how fast g changes along itself.
    """
    scale = 2 * weight / RADIUS * torch.nn.utils.get_total_norm(here)
    return added(here, times(less(there, here), scale))


class GradientPenalty(Trick):
    """Minimize loss + `weight` * |gradient|^2, the gradient of all weights together over the batch.

    Descent with a learning rate lr already follows loss + lr / 4 * |gradient|^2: this is why large rates regularize,
    and it is this part that is made larger here. Alike, a step down and a step up again, as flooding takes them, moves
    by - lr^2 / 2 times the gradient of |gradient|^2.

    Paper: Barrett and Dherin 2021, https://arxiv.org/abs/2009.11162, equations 2 and 3 and their explicit penalty.
    Cost: two forward and two backward passes a step; one copy of the weights and two of their gradients meanwhile.
    Deviates: The Hessian's product with the gradient is a finite difference over a length of 0.01, where the paper
        differentiates twice; for a quadratic loss they are equal. The loss reported is that without the penalty.
    """

    seats = {Slot.GRADIENTS: "perturb"}
    excludes = frozenset({Trait.LOSS_SCALER})
    weight: float = tunable(0.01, search=Float(1e-3, 0.1, log=True), legal=at_least(0),
                            unit="loss for each squared gradient unit")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients of the penalized loss."""
        both = twice(inner, run, lambda weights, gradients: uphill(gradients, RADIUS))

        def penalized(batch: Batch) -> Tensor:
            loss, here = both(batch)
            weights = [weight for weight in run.model.parameters() if weight.grad is not None]
            there = [weight.grad for weight in weights if weight.grad is not None]
            for weight, gradient in zip(weights, curved(here, there, self.weight), strict=True):
                weight.grad = gradient
            return loss
        return penalized
