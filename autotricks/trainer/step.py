"""Forward, loss, backward: the innermost `gradients`."""
from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.run import Run
from ..core.slots import Gradients, Loss
from ..nn.activation_checkpointing import recompute_blocks
from ..nn.classifier import classifier, features
from ..nn.normalization import synchronized
from . import loss_scaling
from .distributed import own_numbers, summed


def backward(loss: Loss, run: Run, reads_features: bool = False) -> Gradients:
    """Return what leaves the gradient of the batch's mean loss in `.grad`, over micro-batches where memory asks.

    The loss of every micro-batch is divided by the length of the whole batch, so the sum of gradients does not
    depend on how it was cut (batch normalization still sees one micro-batch at a time), nor on how many ranks took
    a part of it. Out of memory, a rank halves its micro-batches and tries again.

    Args:
        loss: Loss of each sample.
        run: Holds the model.
        reads_features: Whether the loss reads `batch.features`.
    """
    model = run.model
    parameters = list(run.model.parameters())
    runtime = run.runtime
    scaled = runtime.autocast is torch.float16
    torch.backends.cudnn.benchmark = runtime.benchmark  # of the process: each training run sets it for itself
    if runtime.checkpointing:
        recompute_blocks(model)
    head = model.get_submodule(classifier(model, run.classes)) if reads_features else None

    def accumulated(part: Batch, count: int) -> Tensor:
        for parameter in parameters:
            parameter.grad = None
        values = []
        for piece in part.split(run.runtime.micro_batches):
            logits, piece = _forward(run, head, piece)
            value = loss(logits, piece).sum() / count
            (value * loss_scaling.scale(run) if scaled else value).backward()
            values.append(value.detach())
        return reduce(add, values)

    def gradients(batch: Batch) -> Tensor:
        part = batch.split(runtime.ranks)[runtime.rank]
        with own_numbers(run):
            value = _fitting(lambda: accumulated(part, len(batch)), run, len(part))
        if runtime.ranks > 1:
            value = summed(value, model)
        if scaled:
            loss_scaling.unscale(parameters, run)
        return value

    return gradients


def _fitting(compute: Callable[[], Tensor], run: Run, images: int) -> Tensor:
    """Compute; out of memory, halve the micro-batches and try again.

    Not where batch norm is synchronized: the other ranks then wait for this one in the midst of the model.
    """
    while True:
        try:
            return compute()
        except torch.OutOfMemoryError:
            pieces = run.runtime.micro_batches
            if pieces >= images or (run.runtime.ranks > 1 and synchronized(run.model)):
                raise
        # Here, not in the handler: its traceback holds on to the graph that did not fit.
        run.runtime = replace(run.runtime, micro_batches=min(pieces * 2, images))
        torch.cuda.empty_cache()


def _forward(run: Run, head: nn.Module | None, batch: Batch) -> tuple[Tensor, Batch]:
    """Return logits, and the batch with what went into `head` if there is one; both float32 after autocast."""
    dtype = run.runtime.autocast
    with torch.autocast(run.device.type, dtype) if dtype else nullcontext():
        if run.classify is not None:
            logits = run.classify(batch.images)
            given = None if head is None else batch.images
        elif head is None:
            logits = run.forward(batch.images)
            given = None
        else:
            logits, given = features(run.model, head, batch.images)
    if dtype:
        logits = logits.float()
        given = given if given is None else given.float()
    return logits, batch if given is None else replace(batch, features=given)
