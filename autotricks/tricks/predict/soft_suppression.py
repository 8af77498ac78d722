"""Soft suppression: boxes that lie over a likelier one of their class become less likely."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Above, Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.suppression import with_suppression


def linear(overlap: Tensor, threshold: float) -> Tensor:
    """Return 1 - overlap where it is at least the threshold, else 1, elementwise."""
    return torch.where(overlap >= threshold, 1 - overlap, 1.0)


def gaussian(overlap: Tensor, sigma: float) -> Tensor:
    """Return exp(-overlap^2 / sigma), elementwise."""
    return (-overlap.square() / sigma).exp()


class SoftSuppression(Trick):
    """Lower the score of a box for each likelier one of its class that it overlaps, the more the more it does.

    Of two objects that hide one another both are left, which `hard_suppression` takes for one. The `gaussian` form
    lowers every score by exp(-overlap^2 / sigma), the `linear` one those with `overlap` or more by 1 - overlap.

    Paper: Bodla et al. 2017, https://arxiv.org/abs/1704.04503, equations 2 and 3.
    Cost: a hundred rounds over the likeliest boxes of all images at once, in evaluation alone.
    Deviates: boxes are not left out below a score of .001; the hundred likeliest are left.
    """

    seats = {Slot.PREDICT: "suppress"}
    requires_data = frozenset({DataTrait.BOXES})
    form: str = tunable("gaussian", search=Choice("gaussian", "linear"))
    sigma: float = tunable(0.5, search=Float(0.1, 1.0), legal=Above(0), unit="squared intersection over union")
    overlap: float = tunable(0.3, search=Float(0.2, 0.6), legal=Between(0, 1), unit="intersection over union")
    looked: int = tunable(300, search=Choice(300), legal=at_least(1), unit="likeliest boxes of an image")

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return what says the likeliest objects of each image alone."""
        def decay(overlap: Tensor) -> Tensor:
            return gaussian(overlap, self.sigma) if self.form == "gaussian" else linear(overlap, self.overlap)

        return with_suppression(inner, decay, self.looked)
