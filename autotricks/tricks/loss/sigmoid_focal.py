"""Sigmoid focal: a binary focal loss for each class, summed."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def binary_focal(logits: Tensor, gamma: float) -> Tensor:
    """Return -(1 - p)^gamma log p with p = sigmoid(logits), elementwise; the loss where the answer is yes."""
    # the power as an exponential: its gradient stays finite where 1 - p vanishes and gamma < 1
    return -torch.exp(gamma * F.logsigmoid(-logits)) * F.logsigmoid(logits)


def sigmoid_focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return the binary focal losses summed over the classes, of which only the label is to be answered with yes.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        returns: [B, K].
    """
    yes = binary_focal(logits, gamma)
    no = binary_focal(-logits, gamma)
    return no.sum(1, keepdim=True) + (yes - no).gather(1, labels)


class SigmoidFocal(Trick):
    """Minimize the sum over the classes of (1 - p)^gamma * binary cross-entropy, p the probability of the right answer.

    Each class has its own sigmoid. With gamma = 0 it is binary cross-entropy, summed over the classes. Under class
    weights the loss of a label is weighed as a whole: class-balanced focal of Cui et al. 2019,
    https://arxiv.org/abs/1901.05555, section 4.3.

    Paper: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4.
    Cost: two passes over the logits.
    Deviates: no alpha; the sum is divided by the samples, not by the foreground boxes; biases start at zero. Evaluation
        takes softmax of the logits, which ranks the classes alike but is not the probability that was trained.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    gamma: float = tunable(2.0, search=Float(0.5, 5.0), legal=at_least(0), unit="exponent")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the sigmoid focal loss of each sample's mixture of labels."""
        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(sigmoid_focal(logits, batch.targets.labels, self.gamma))
        return mixed
