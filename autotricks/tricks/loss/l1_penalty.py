"""L1 penalty: pull weights towards zero at a constant force."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.trick import Trick
from ...functional.tensor_lists import norms
from ...nn.decay import decayed


class L1Penalty(Trick):
    """Minimize loss + `weight` * sum of |w| over the weights of convolutions and linear layers.

    Its gradient is `weight` * sign(w), whatever the size of w, so that what the loss has no use for gets to zero;
    weight decay, the L2 penalty of the optimizer, only shrinks it. Biases, norms, tokens and tables of
    positions are left alone, and so are weights that are frozen when its window opens.

    Paper: Tibshirani 1996, https://doi.org/10.1111/j.2517-6161.1996.tb02080.x, the lasso, here by subgradients.
    Cost: two passes over the weights for each micro-batch.
    Deviates: Subgradient steps bring weights near zero, seldom to it exactly.
    """

    seats = {Slot.LOSS: "term"}
    weight: float = tunable(1e-5, search=Float(1e-7, 1e-4, log=True), legal=at_least(0),
                            unit="loss for each unit of |w|")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with the whole penalty on each sample: the step takes the mean over samples."""
        weights: list[Tensor] = [weight for weight in decayed(run.model).values() if weight.requires_grad]

        def penalized(logits: Tensor, batch: Batch) -> Tensor:
            return inner(logits, batch) + self.weight * torch.stack(norms(weights, 1)).sum()
        return penalized if weights else inner
