"""Instance: every image once an epoch, in random order."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.trick import Trick


class Instance(Trick):
    """Draw every training image once an epoch, so that a class is drawn as often as it occurs.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 3.1, q = 1.
    Cost: none.
    """

    seats = {Slot.SAMPLER: "draw"}

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return a random permutation of the N rows, drawn anew each epoch."""
        def permuted(progress: float) -> Tensor:
            return torch.randperm(len(run.targets), generator=run.generator, device=run.device)
        return permuted
