"""Flooding: hold the training loss at a level above zero."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.trick import Trick


def flooded(losses: Tensor, level: float) -> Tensor:
    """Return losses whose mean is |m - level| + level, with m the mean of `losses`.

    Each is mirrored at the level where their mean lies below it, so the gradient is that of m with its sign changed.

    Shapes:
        losses: [B].
        returns: [B].
    """
    return (losses.detach().mean() - level).sign() * (losses - level) + level


class Flooding(Trick):
    """Climb instead of descending while the mean loss of the batch is below `level`.

    It does nothing unless the loss gets that low: keep `level` below what smoothing, mixing and distillation leave as
    the least possible loss. It floods the loss as it is minimized, class weights included.

    Paper: Ishida et al. 2020, https://arxiv.org/abs/2002.08709, section 3.
    Cost: none.
    Deviates: where memory cuts a batch into micro-batches, each is flooded by its own mean, as a batch of its size.
    """

    seats = {Slot.LOSS: "floor"}
    level: float = tunable(0.05, search=Float(0.01, 0.2, log=True), legal=at_least(0), unit="loss of a sample")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return losses whose mean never falls below `level`."""
        def held(logits: Tensor, batch: Batch) -> Tensor:
            return flooded(inner(logits, batch), self.level)
        return held
