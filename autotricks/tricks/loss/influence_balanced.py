"""Influence-balanced: weigh down the samples that move the classifier's weights most."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_weighting import ADVICE


def influence(logits: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return |p - y|_1 * |h|_1: the length in L1 of the gradient of cross-entropy in the classifier's weights.

    Shapes:
        logits: [B, C], p is their softmax.
        labels: [B, K], int64; y is one-hot at each of them.
        features: [B, F], h.
        returns: [B, K], in [0, 2 |h|_1].
    """
    rest = -torch.expm1(torch.log_softmax(logits, 1).gather(1, labels))  # 1 - p_y is also the sum of the other p
    return 2 * rest * features.abs().sum(1, keepdim=True)


def inverse_shares(counts: Tensor) -> Tensor:
    """Return 1 / n for each class, scaled to sum to C; a class without images gets 0.

    Shapes:
        counts: [C], images of each class n.
        returns: [C].
    """
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    return inverse * len(counts) / inverse.sum()


class InfluenceBalanced(Trick):
    """Multiply the loss of each label by alpha / (|p - y|_1 * |h|_1 + 1e-3), h the features that the classifier gets.

    The divisor is how much a sample moves the classifier's weights, so samples that the boundary bends around, mostly
    of frequent classes, count less. Classes are weighed by 1 / n beside it (`by_class`). In a mixture of labels each
    has its own factor. The model must have learned something before: the window opens half-way, as in the paper. There
    the authors lower the learning rate to a hundredth, which alpha = 1000 needs; where it goes on, 10 takes the like
    steps. On long-tailed digits with a cosine 1000 cost 2 to 7 points of balanced accuracy, 10 none, and 10 without
    the weights of the classes 5 to 8.

    Paper: Park et al. 2021, https://arxiv.org/abs/2110.02444, section 3.
    Cost: one pass over logits and features.
    Deviates: nothing from the authors' code, https://github.com/pseulki/IB-Loss. It takes the gradient through the
        factor, which the derivation has as a constant: so longer features lower every loss, and a label that is nearly
        learned keeps about alpha / (2 |h|_1) until its influence falls to 1e-3.
    """

    seats = {Slot.LOSS: "weight"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REWEIGHTS})
    excludes = frozenset({Trait.COSINE_HEAD})    # its factor is that of a linear classifier; beside margins it diverges
    advice = ADVICE
    opens = 0.5
    reads_features = True
    alpha: float = tunable(1000.0, search=Float(1.0, 1000.0, log=True), legal=Above(0), unit="features in L1")
    by_class: bool = tunable(True, search=Choice(True), legal=Choice(True, False))

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with each label weighed by its sample's influence and, where asked, by its class."""
        weights = inverse_shares(run.counts) if self.by_class else torch.ones_like(run.counts)

        def balanced(logits: Tensor, batch: Batch) -> Tensor:
            assert batch.features is not None, "the pipeline notes the features that a trick reads"
            labels = batch.targets.labels
            factors = self.alpha * weights[labels] / (influence(logits, labels, batch.features) + 1e-3)
            return inner(logits, batch.retarget(batch.targets.weighted(factors)))
        return balanced
