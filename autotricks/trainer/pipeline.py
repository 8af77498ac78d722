"""Fold the tricks of a plan into callables: the one place where tricks are composed."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor
from torch.optim import Optimizer

from ..core.batch import Batch
from ..core.bundle import Use, Window
from ..core.plan import Phase, seated
from ..core.run import Run
from ..core.slots import Augment, Build, Gradients, Groups, Load, Loss, Mix, Order, Output, Slot
from .step import backward

Wrapped = TypeVar("Wrapped")


@dataclass(frozen=True)
class Pipeline:
    """What a phase calls: rows of an epoch, images, batch augmented, batch mixed, gradients."""

    order: Order
    load: Load
    augment: Augment
    mix: Mix
    gradients: Gradients


def fold(uses: Iterable[Use], slot: Slot, inner: Wrapped, run: Run) -> Wrapped:
    """Wrap `inner` with every trick in `slot`, inner seats first."""
    for use in seated(uses, slot):
        inner = getattr(use.trick, slot.value)(inner, run)
    return inner


def pipeline(phase: Phase, run: Run) -> Pipeline:
    """Build the callables of a phase."""
    loss: Loss = fold(phase.uses, Slot.LOSS, _no_loss, run)
    features = any(use.trick.reads_features for use in phase.uses)
    gradients: Gradients = backward(loss, run, features)
    load: Load = _load(run)
    return Pipeline(
        order=_order(phase, run),
        load=fold(phase.uses, Slot.LOAD, load, run),
        augment=fold(phase.uses, Slot.AUGMENT, _same_batch, run),
        mix=fold(phase.uses, Slot.BATCH, _same_batch, run),
        gradients=fold(phase.uses, Slot.GRADIENTS, gradients, run))


def _order(phase: Phase, run: Run) -> Order:
    """Fold the samplers; each hears the progress of its own window, not that of training."""
    order: Order = _no_order
    for use in seated(phase.uses, Slot.SAMPLER):
        order = _windowed(getattr(use.trick, Slot.SAMPLER.value)(order, run), use.window)
    return order


def _windowed(order: Order, window: Window) -> Order:
    # window edges are rounded to whole steps, so training may stand a little outside the window
    return lambda progress: order(min(max((progress - window.start) / (window.stop - window.start), 0.0), 1.0))


def _no_order(progress: float) -> Tensor:
    raise AssertionError("no trick takes sampler.draw")


def _no_loss(output: Output, batch: Batch) -> Tensor:
    raise AssertionError("no trick takes loss.base")


def _load(run: Run) -> Load:
    images = run.images
    if isinstance(images, Tensor):
        return lambda rows: images.index_select(0, rows).float().div_(255)
    return lambda rows: images[rows].float().div_(255)


def _same_batch(batch: Batch) -> Batch:
    return batch


def optimizer(uses: Iterable[Use], groups: Groups, run: Run) -> Optimizer:
    """Build the optimizer on parameter groups as the tricks in `parameters` and `optimizer` want them."""
    uses = tuple(uses)
    build: Build = fold(uses, Slot.OPTIMIZER, _no_optimizer, run)
    return build(fold(uses, Slot.PARAMETERS, groups, run))


def _no_optimizer(groups: Groups) -> Optimizer:
    raise AssertionError("no trick takes optimizer.base")
