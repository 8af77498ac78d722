"""Gradient clipping: shorten a gradient that is too long."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.trick import Trick


class GradientClipping(Trick):
    """Scale the gradient of all weights together to length `max_norm` where it is longer.

    Paper: Pascanu et al. 2013, https://arxiv.org/abs/1211.5063, algorithm 1.
    Cost: two passes over the gradients; the device is not waited for.
    Deviates: the length is taken as 1e-6 longer, against division by zero.
    """

    seats = {Slot.GRADIENTS: "clip"}
    max_norm: float = tunable(1.0, search=Float(0.1, 10.0, log=True), legal=Above(0), unit="L2 length of the gradient")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients no longer than `max_norm`."""
        weights = list(run.model.parameters())

        def clipped(batch: Batch) -> Tensor:
            loss = inner(batch)
            torch.nn.utils.clip_grad_norm_(weights, self.max_norm)
            return loss
        return clipped
