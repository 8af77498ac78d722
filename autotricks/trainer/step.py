"""Forward, loss, backward: the innermost `gradients`."""
from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add

from torch import Tensor, nn

from ..core.anatomy import classifier, features
from ..core.batch import Batch
from ..core.run import Run
from ..core.slots import Gradients, Loss


def backward(loss: Loss, run: Run, reads_features: bool = False) -> Gradients:
    """Return what leaves the gradient of the batch's mean loss in `.grad`, over micro-batches where memory asks.

    The loss of every micro-batch is divided by the length of the whole batch, so the sum of gradients does not
    depend on how it was cut (batch normalization still sees one micro-batch at a time).

    Args:
        loss: Loss of each sample.
        run: Holds the model.
        reads_features: Whether the loss reads `batch.features`.
    """
    model, parameters = run.model, list(run.model.parameters())
    head = model.get_submodule(classifier(model, run.classes)) if reads_features else None

    def gradients(batch: Batch) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        values = []
        for piece in batch.split(run.runtime.micro_batches):
            logits, piece = _forward(model, head, piece)
            value = loss(logits, piece).sum() / len(batch)
            value.backward()
            values.append(value.detach())
        return reduce(add, values)

    return gradients


def _forward(model: nn.Module, head: nn.Module | None, batch: Batch) -> tuple[Tensor, Batch]:
    """Return logits, and the batch with what went into `head` if there is one."""
    if head is None:
        return model(batch.images), batch
    logits, given = features(model, head, batch.images)
    return logits, replace(batch, features=given)
