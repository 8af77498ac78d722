"""Logit adjustment: put tau times the log of the class frequencies into the loss."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_priors import OVER_BALANCE, log_prior


def logit_adjusted(logits: Tensor, labels: Tensor, log_prior: Tensor, tau: float) -> Tensor:
    """Return -log softmax(logits + tau * log prior) at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        log_prior: [C].
        returns: [B, K].
    """
    return -torch.log_softmax(logits + tau * log_prior, 1).gather(1, labels)


class LogitAdjustment(Trick):
    """Minimize the cross-entropy of logits + tau * log pi, pi the share of each class; predict with plain logits.

    With tau = 1 it is balanced softmax; with tau = 0 it is cross-entropy. More than 1 favors rare classes beyond
    balance. The adjustment is no part of the model: left in when predicting, it gives back plain training.
    Written into the model it is `prior_bias`, which goes with every base loss; after training alone, `prior_removal`.

    Paper: Menon et al. 2021, https://arxiv.org/abs/2007.07314, equation 10.
    Cost: one addition to the logits.
    Deviates: A class without training images counts as if it had one, so that the loss stays finite.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REMOVES_PRIOR})
    advice = (OVER_BALANCE,)
    tau: float = tunable(1.0, search=Float(0.5, 2.5), legal=at_least(0), unit="times the log of the class shares")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the adjusted cross-entropy of each sample's mixture of labels."""
        prior = log_prior(run.counts)

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(logit_adjusted(logits, batch.targets.labels, prior, self.tau))
        return mixed
