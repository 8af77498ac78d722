"""SEQL: let rare classes mostly out of the softmax of samples of other classes."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def equalized(logits: Tensor, labels: Tensor, left_out: Tensor) -> Tensor:
    """Return log(sum of e^z over the classes kept and the label) - z at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        left_out: [B, C], bool: the class counts only where it is the label.
        returns: [B, K].
    """
    # a finite stand-in for log 0: where all classes are left out, -inf would give a gradient of nan
    nothing = torch.finfo(logits.dtype).min / 2
    kept = logits.masked_fill(left_out, nothing).logsumexp(1, keepdim=True)
    own = logits.gather(1, labels)
    return torch.logaddexp(kept, own.masked_fill(~left_out.gather(1, labels), nothing)) - own


class Seql(Trick):
    """Minimize cross-entropy in which a sample spares rare classes: e^z of each is left out with probability `gamma`.

    A class is rare with less than `threshold` of the images. A sample of the class itself always counts it. For each
    sample and rare class chance decides anew. Where C classes are equally frequent, all of them are rare once
    `threshold` exceeds 1 / C. With gamma = 0 it is cross-entropy. Prediction is with plain logits.

    Paper: Tan et al. 2020, https://arxiv.org/abs/2003.05176, softmax equalization loss in the section on image
        classification.
    Cost: one random number for each logit.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    threshold: float = tunable(0.005, search=Float(0.001, 0.05, log=True), legal=Between(0, 1),
                               unit="share of the training images")
    gamma: float = tunable(0.9, search=Float(0.5, 0.99), legal=Between(0, 1), unit="probability")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the equalized cross-entropy of each sample's mixture of labels."""
        rare = run.counts / run.counts.sum() < self.threshold

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            drawn = torch.rand(logits.shape, generator=run.generator, device=logits.device) < self.gamma
            return batch.mix(equalized(logits, batch.targets.labels, drawn & rare))
        return mixed
