"""Gradient normalization: steps whose size does not depend on how steep the loss is."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.trick import Trick
from ...functional.tensor_lists import added, norms, over

TINY = 1e-8     # beside what is divided by


def normalized(gradients: list[Tensor], by: str) -> list[Tensor]:
    """Return gradients divided by their length or deviation.

    Args:
        gradients: Of each weight tensor.
        by: `global`, the length of all together; `tensor`, the length of each; `deviation`, the standard deviation
            within each, where one of less than three numbers stays as it is.
    """
    if by == "global":
        return over(gradients, torch.nn.utils.get_total_norm(gradients) + TINY)
    if by == "tensor":
        return over(gradients, added(norms(gradients), TINY))
    return [gradient / (gradient.std() + TINY) if gradient.numel() > 2 else gradient for gradient in gradients]


class GradientNormalization(Trick):
    """Divide gradients by their length, together or tensor by tensor, or by the standard deviation of each tensor.

    Neither explodes nor vanishes then what SGD steps along, and the learning rate alone says how far: with `global` it
    is the length of a step without momentum. `tensor` needs a rate some ten times smaller and `deviation` one smaller
    by the root of the number of weights in a tensor: search the rate with it. It takes the seat of clipping, which
    would have nothing left to do. SAM sees gradients before.

    Paper: Hazan et al. 2015, https://arxiv.org/abs/1507.02030, algorithm 1, is `global`; Yu et al. 2017,
        https://arxiv.org/abs/1707.04822, algorithm 1, is `tensor`; `deviation` is that of the library
        pytorch_optimizer and has no paper of its own.
    Cost: two passes over the gradients.
    Deviates: Weight decay is added after it, at its own size.
    """

    seats = {Slot.GRADIENTS: "clip"}
    by: str = tunable("global", search=Choice("global", "tensor", "deviation"))

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients of unit size."""
        def unit(batch: Batch) -> Tensor:
            loss = inner(batch)
            weights = [weight for weight in run.model.parameters() if weight.grad is not None]
            gradients = normalized([weight.grad for weight in weights if weight.grad is not None], self.by)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            return loss
        return unit
