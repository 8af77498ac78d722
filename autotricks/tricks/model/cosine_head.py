"""Cosine head: logits are a multiple of the cosine between features and class weights."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...errors import ModelError
from ...nn.classifier import classifier


def cosines(features: Tensor, weight: Tensor) -> Tensor:
    """Return the cosine between each sample's features and each class's weights.

    Shapes:
        features: [B, F].
        weight: [C, F].
        returns: [B, C], in [-1, 1].
    """
    return F.linear(F.normalize(features, dim=-1), F.normalize(weight, dim=-1))


class _Cosine(nn.Module):
    """A linear layer without bias between unit vectors, times `cosine_scale`."""

    def __init__(self, weight: Tensor, scale: float):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.cosine_scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, [B, C], in [-scale, scale]."""
        return self.cosine_scale * cosines(features, self.weight)


class CosineHead(Trick):
    """Replace the model's last linear layer by `scale` times the cosine between features and class weights.

    No class can then win by longer weights or by a bias. Which layer is the last a model may say with timm's
    `get_classifier`. A loss that puts margins on the cosines finds the scale in the head's attribute `cosine_scale`.

    Paper: Wang et al. 2018, https://arxiv.org/abs/1801.09414, section 3.1, without the margin; the head of LDAM,
        Cao et al. 2019, https://arxiv.org/abs/1906.07413.
    Raises: ModelError when the model does not end in a linear layer with one output for each class.
    Cost: one pass over features and class weights.
    Deviates: the scale is the head's, where LDAM's code has it in the loss: so cross-entropy before a deferred LDAM,
        prior removal and the calibration at evaluation all see logits of a usable size. The weights start as
        random directions of length one, and unlike LDAM's weights decay, which does not change the cosines.
    """

    seats = {Slot.MODEL: "head"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose features are maps
    provides = frozenset({Trait.COSINE_HEAD})
    scale: float = tunable(30.0, search=Float(10.0, 64.0, log=True), legal=Above(0), unit="logit of a cosine of 1")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its head replaced, on the device and in the precision of the old one."""
        name = classifier(inner, run.classes)
        head = inner.get_submodule(name)
        if not isinstance(head, nn.Linear):
            raise ModelError(f"cosine_head: {type(inner).__name__} has the head {name}, {head}; it must be a "
                             "torch.nn.Linear. Take another model or drop cosine_head.")
        old = head.weight
        drawn = torch.randn(old.shape, generator=run.generator, device=run.device).to(old)
        inner.set_submodule(name, _Cosine(F.normalize(drawn, dim=1), self.scale))
        return inner
