"""Forward, loss, backward: the innermost `gradients`."""
from __future__ import annotations

from functools import reduce
from operator import add

from torch import Tensor

from ..core.batch import Batch
from ..core.run import Run
from ..core.slots import Gradients, Loss


def backward(loss: Loss, run: Run) -> Gradients:
    """Return what leaves the gradient of the batch's mean loss in `.grad`, over micro-batches where memory asks.

    The loss of every micro-batch is divided by the length of the whole batch, so the sum of gradients does not
    depend on how it was cut (batch normalization still sees one micro-batch at a time).
    """
    model, parameters = run.model, list(run.model.parameters())

    def gradients(batch: Batch) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        values = []
        for piece in batch.split(run.runtime.micro_batches):
            value = loss(model(piece.images), piece).sum() / len(batch)
            value.backward()
            values.append(value.detach())
        return reduce(add, values)

    return gradients
