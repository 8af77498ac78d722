"""BNNeck: normalize features over the batch before a classifier without bias."""
from __future__ import annotations

import torch
from torch import nn

from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...nn import neck


class _Unshifted(nn.BatchNorm1d):
    """Batch norm whose shift is 0 for good: no weight, so that nothing trains it."""

    def __init__(self, features: int):
        super().__init__(features)
        del self.bias
        self.register_buffer("bias", torch.zeros(features))


class Bnneck(Trick):
    """Put a batch norm without shift between features and classifier, and take the classifier's bias away.

    Features then lie around the origin, alike in all dimensions, and classes differ by direction. What reads features,
    such as influence-balanced loss or the nearest class mean, gets those behind it.

    Paper: Luo et al. 2019, https://arxiv.org/abs/1903.07071, section 3.5.
    Cost: one pass over the features.
    Deviates: there is no metric loss on the features before it; the classifier starts as the model had it, where the
        authors draw it with deviation 0.001.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.MODEL: "neck"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose features are maps

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its neck, on the device."""
        norm = _Unshifted(neck.width(inner, run.classes)).to(run.device)
        head = neck.insert(inner, run.classes, norm)
        if isinstance(head, nn.Linear):
            head.register_parameter("bias", None)
        return inner
