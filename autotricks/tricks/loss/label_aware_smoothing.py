"""Label-aware smoothing: smooth the labels of frequent classes more than those of rare ones."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick

SHAPES = ("concave", "linear", "convex")


def class_epsilons(counts: Tensor, head: float, tail: float, shape: str) -> Tensor:
    """Return the smoothing of each class, from `tail` for the rarest to `head` for the most frequent.

    With equally many images everywhere it is `tail`.

    Shapes:
        counts: [C], images of each class.
        returns: [C].
    """
    smallest = torch.where(counts > 0, counts, torch.inf).min()
    fraction = ((counts - smallest) / (counts.max() - smallest).clamp(min=1)).clamp(min=0)
    if shape == "concave":
        fraction = torch.sin(fraction * math.pi / 2)
    elif shape == "convex":
        fraction = 1 - torch.cos(fraction * math.pi / 2)
    return tail + (head - tail) * fraction


def smoothed(batch: Batch, epsilons: Tensor) -> Batch:
    """Return the batch with one label more for each class: of each old share, epsilon of its class goes to all alike.

    Shapes:
        batch: labels and shares [B, K].
        epsilons: [C].
        returns: labels and shares [B, K + C].
    """
    classes = len(epsilons)
    targets = batch.targets
    given = targets.shares * epsilons[targets.labels]
    every = torch.arange(classes, device=targets.labels.device).expand(len(batch), classes)
    even = (given.sum(1, keepdim=True) / classes).expand(len(batch), classes)
    return batch.retarget(Targets(targets.labels, targets.shares - given).joined(Targets(every, even)))


class LabelAwareSmoothing(Trick):
    """Train towards (1 - epsilon) * target + epsilon / C with an epsilon of the target's class.

    Frequent classes are predicted too surely and are smoothed most. Between the rarest class (`tail`) and the most
    frequent (`head`) epsilon follows a quarter of a sine (`concave`), a line, or a quarter of a cosine (`convex`) in
    the number of images. In a mixture of labels each gives its own part. MiSLAS uses it in its second stage alone:
    `start: 0.8`.

    Paper: Zhong et al. 2021, https://arxiv.org/abs/2104.00466, section on label-aware smoothing.
    Cost: the loss of every class instead of one; nothing beside a forward pass.
    Deviates: epsilon is shared among all C classes, as in the authors' code, not among the C - 1 others.
    """

    seats = {Slot.LOSS: "target"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.SMOOTHS_LABELS})
    head: float = tunable(0.4, search=Float(0.1, 0.5), legal=Between(0, 1, without=(1,)),
                          unit="share of the target in the most frequent class")
    tail: float = tunable(0.1, search=Float(0.0, 0.2), legal=Between(0, 1, without=(1,)),
                          unit="share of the target in the rarest class")
    shape: str = tunable("concave", search=Choice(*SHAPES))

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss against smoothed targets."""
        epsilons = class_epsilons(run.counts, self.head, self.tail, self.shape)

        def smooth(logits: Tensor, batch: Batch) -> Tensor:
            return inner(logits, smoothed(batch, epsilons))
        return smooth
