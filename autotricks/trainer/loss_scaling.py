"""Loss scaling: keep small gradients of a float16 step above zero, without waiting for the device.

Paper: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, section 3.2; factors as in torch.amp.GradScaler.
"""
from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..core.run import Run

FIRST = 2.0**16
GROWTH = 2.0
BACKOFF = 0.5
PATIENCE = 2000
SCALE = "loss_scaling.scale"
STEPS = "loss_scaling.steps"   # in the memory of a run, so in its checkpoints


def scale(run: Run) -> Tensor:
    """Return what the loss is multiplied by now, []."""
    if SCALE not in run.memory:
        run.memory[SCALE] = torch.full((), FIRST, device=run.device)
        run.memory[STEPS] = torch.zeros((), device=run.device)
    return run.memory[SCALE]


def unscale(weights: Iterable[Tensor], run: Run) -> None:
    """Divide gradients by the scale, all set to 0 if one of them is Inf or NaN, and move the scale.

    The scale is halved after a step with such a gradient, and doubled after 2000 steps without one.
    """
    now = scale(run)
    owners = [weight for weight in weights if weight.grad is not None]
    gradients = [weight.grad for weight in owners if weight.grad is not None]
    finite = torch.stack([gradient.abs().amax() for gradient in gradients]).isfinite().all()
    for weight, gradient in zip(owners, gradients, strict=True):
        weight.grad = torch.where(finite, gradient / now, 0.0)
    run.memory[SCALE], run.memory[STEPS] = moved(now, run.memory[STEPS], finite)


def moved(now: Tensor, steps: Tensor, finite: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scale of the next step, and how many steps without Inf or NaN lie behind it at this scale.

    Shapes:
        now: [], the scale.
        steps: [], such steps before this one.
        finite: [] bool, whether this one is another.
    """
    patient = steps + 1 < PATIENCE
    grown = torch.where(patient, now, now * GROWTH)
    return torch.where(finite, grown, now * BACKOFF), torch.where(finite & patient, steps + 1, 0.0)
