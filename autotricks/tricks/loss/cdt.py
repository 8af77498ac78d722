"""CDT: divide the logits by a temperature of their class while training."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def temperatures(counts: Tensor, gamma: float) -> Tensor:
    """Return (n_max / n)^gamma for each class; a class without images counts as if it had one.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], >= 1.
    """
    sizes = counts.clamp(min=1)
    return (sizes.max() / sizes) ** gamma


class Cdt(Trick):
    """Minimize the cross-entropy of z_c / a_c with the class-dependent temperature a_c = (n_max / n_c)^gamma.

    To reach the same loss, rare classes must reach larger logits while training; prediction is with plain z, where that
    makes up for features that deviate more in rare classes. With gamma = 0 it is cross-entropy.

    Paper: Ye et al. 2020, https://arxiv.org/abs/2001.01385, section on class-dependent temperatures.
    Cost: one division of the logits.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    gamma: float = tunable(0.2, search=Float(0.0, 0.4), legal=at_least(0), unit="exponent of n_max / n")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the cross-entropy of the tempered logits for each sample's mixture of labels."""
        divisors = temperatures(run.counts, self.gamma)

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(-torch.log_softmax(logits / divisors, 1).gather(1, batch.targets.labels))
        return mixed
