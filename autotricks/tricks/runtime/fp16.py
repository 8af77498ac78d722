"""fp16: compute forward passes in float16, with the loss scaled."""
from __future__ import annotations

from dataclasses import replace

import torch

from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.traits import Trait
from ...core.trick import Trick


class Fp16(Trick):
    """Compute convolutions and matrix products of training steps in float16: 5 bits of exponent, 11 of precision.

    Small gradients would be 0, so the loss is multiplied by a scale and the gradients are divided by it before
    anything else sees them. The scale begins at 65536, is halved after a step in which a gradient overflows, and is
    doubled after 2000 steps without. Weights, losses and all evaluation stay float32. For GPUs before Ampere; elsewhere
    `bf16` needs no scale. A CPU without float16 in hardware is some ten times slower with it.

    Paper: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, sections 3.1 and 3.2.
    Cost: less than float32 where the hardware has it; two passes over the gradients; half the memory for what is
        kept for the backward pass. The device is not waited for.
    Deviates: a step whose gradients overflow is one with gradients of 0, so momentum and weight decay act in it, where
        the paper leaves it out: to leave it out is to wait for the device in every step.
    """

    seats = {Slot.RUNTIME: "precision"}
    provides = frozenset({Trait.LOSS_SCALER})

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with float16, for which steps scale the loss."""
        return replace(inner, autocast=torch.float16)
