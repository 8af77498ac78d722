"""bf16: compute forward passes in bfloat16."""
from __future__ import annotations

from dataclasses import replace

import torch

from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.trick import Trick


class Bf16(Trick):
    """Compute convolutions and matrix products of training steps in bfloat16: 8 bits of exponent, 8 of precision.

    Weights, their gradients and the optimizer stay float32, and so do losses, which are given float32 logits, and all
    evaluation: figures of trials in different precisions are so compared alike. The range is that of float32, so the
    loss needs no scaling. It pays where the device has it in hardware: a GPU since Ampere, a CPU with AMX or
    AVX512-BF16, and there with large layers; the `channels_last` layout helps.

    Paper: Kalamkar et al. 2019, https://arxiv.org/abs/1905.12322; mixed precision: Micikevicius et al. 2018,
        https://arxiv.org/abs/1710.03740, section 3.1.
    Cost: less than float32 where the hardware has it: a ResNet-20 trained 1.5 times as fast on one core with
        AVX512-BF16. Half the memory for what is kept for the backward pass.
    """

    seats = {Slot.RUNTIME: "precision"}

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with bfloat16."""
        return replace(inner, autocast=torch.bfloat16)
