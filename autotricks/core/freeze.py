"""Training the classifier alone: what tricks that retrain it share."""
from __future__ import annotations

from collections.abc import Container

from torch import Tensor, nn

from .batch import Batch
from .run import Run
from .slots import Gradients


def freeze(model: nn.Module, trained: Container[str]) -> None:
    """Let only the weights named in `trained` have gradients."""
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in trained)


def thaw(model: nn.Module) -> None:
    """Let all weights have gradients."""
    model.requires_grad_(True)


def with_fixed_norms(inner: Gradients, run: Run) -> Gradients:
    """Return gradients taken with the statistics of batch norm as they are: they neither move nor depend on the batch.

    Training is switched on anew each epoch, so it is switched off for these layers in each step.
    """
    norms = [module for module in run.model.modules() if getattr(module, "running_mean", None) is not None]

    def steady(batch: Batch) -> Tensor:
        for norm in norms:
            norm.eval()
        return inner(batch)
    return steady
