"""Gradient centralization: take the mean off the gradient of each filter."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.trick import Trick
from ...nn.decay import decayed


def centralized(gradient: Tensor) -> Tensor:
    """Return g less its mean over all dimensions but the first.

    Shapes:
        gradient: [outputs, ...], of two dimensions or more.
        returns: the same; the sum over each output is 0.
    """
    return gradient - gradient.mean(tuple(range(1, gradient.ndim)), keepdim=True)


class GradientCentralization(Trick):
    """Subtract from the gradient of each filter, or each output of a linear layer, its mean.

    Weights then keep the mean that they began with, but for weight decay. With `convolutions_only` linear layers are
    left as they are; biases, norms, tokens and tables of positions always are.

    Paper: Yong et al. 2020, https://arxiv.org/abs/2004.01461, equation 1 and algorithm 1.
    Cost: two passes over the gradients.
    Deviates: It acts before weight decay, which in the authors' code is in the gradient that is centralized. An
        optimizer that scales each weight by itself, such as Adam, comes after it, so that its steps have a mean again.
    """

    seats = {Slot.GRADIENTS: "shape"}
    convolutions_only: bool = tunable(False, search=Choice(False, True))

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return centralized gradients."""
        least = 4 if self.convolutions_only else 2
        weights = [weight for weight in decayed(run.model).values() if weight.ndim >= least]

        def centered(batch: Batch) -> Tensor:
            loss = inner(batch)
            for weight in weights:
                if weight.grad is not None:
                    weight.grad = centralized(weight.grad)
            return loss
        return centered
