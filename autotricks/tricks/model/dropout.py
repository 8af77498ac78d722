"""Dropout: train the classifier on a random part of the features."""
from __future__ import annotations

from torch import nn

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...nn import neck


class Dropout(Trick):
    """Set each feature that the classifier is given to 0 with probability `p` in training, others to x / (1 - p).

    It takes the seat of the neck: before a batch norm it would change the variance that the norm expects, Li et al.
    2019, https://arxiv.org/abs/1801.05134.

    Paper: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html, section 4, in its inverted form.
    Cost: one pass over the features.
    Deviates: It draws from torch's own generator, which checkpoints hold for the CPU.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.MODEL: "neck"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose features are maps
    p: float = tunable(0.2, search=Float(0.0, 0.5), legal=Between(0, 1, without=(1,)), unit="probability")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with dropout before its classifier."""
        neck.insert(inner, run.classes, nn.Dropout(self.p))
        return inner
