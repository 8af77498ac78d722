"""Gradient accumulation: add up the gradients of the pieces of a batch."""
from __future__ import annotations

from dataclasses import replace

from ...core.domain import Choice, at_least, tunable
from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.trick import Trick


class GradientAccumulation(Trick):
    """Cut each batch into `pieces`, one forward and backward pass each, and step once with the sum of their gradients.

    The batch keeps its size for everything that depends on it: learning rate, losses and class weights are normalized
    over the whole of it, so the gradients are those of the whole batch. Batch norm alone sees one piece at a time;
    `group_norm` or `batch_renorm` mend small pieces. The trainer does the same by itself where memory runs out.

    Paper: Ott et al. 2018, https://arxiv.org/abs/1806.00187, who delay updates so.
    Cost: as many passes as pieces, each over fewer images; memory of one piece.
    Deviates: the sum is normalized over the batch, never over each piece, which class weights would make another loss.
    """

    seats = {Slot.RUNTIME: "memory"}
    pieces: int = tunable(2, search=Choice(1, 2, 4, 8), legal=at_least(1), unit="pieces of a batch")

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with batches cut."""
        return replace(inner, micro_batches=max(inner.micro_batches, self.pieces))
