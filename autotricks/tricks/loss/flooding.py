"""Flooding: hold the training loss at a level above zero."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import Trait
from ...core.trick import Advice, Trick

SOURCE = "Ishida et al. 2020, https://arxiv.org/abs/2002.08709, section 3, floods losses that go to zero"


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

    It does nothing unless the loss gets that low. It floods the loss as it is minimized, class weights included.

    Paper: Ishida et al. 2020, https://arxiv.org/abs/2002.08709, section 3.
    Cost: none.
    Deviates: where memory cuts a batch into micro-batches, each is flooded by its own mean, as a batch of its size.
    """

    seats = {Slot.LOSS: "floor"}
    advice = (
        Advice(Trait.SMOOTHS_LABELS, "the loss of a smoothed label never falls below its entropy, 0.50 for a tenth "
               "spread over ten classes, and a level below that does nothing", SOURCE),
        Advice(Trait.MIXES_LABELS, "the loss of mixed labels never falls below their entropy, 0.50 on the average of "
               "mixup with alpha = 1, and a level below that does nothing", SOURCE),
        Advice(Trait.DISTILLS, "the loss cannot fit labels and teacher both, so it stays above zero, and a level below "
               "where it ends does nothing", SOURCE))
    level: float = tunable(0.05, search=Float(0.01, 0.2, log=True), legal=at_least(0), unit="loss of a sample")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return losses whose mean never falls below `level`."""
        def held(logits: Tensor, batch: Batch) -> Tensor:
            return flooded(inner(logits, batch), self.level)
        return held
