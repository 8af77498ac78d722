"""GeM: pool each feature map by a generalized mean, between its average and its maximum."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.domain import Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...errors import ModelError
from ...nn.neck import Pooling

LEAST = 1e-6    # what features below it count as


def generalized_mean(maps: Tensor, power: Tensor | float) -> Tensor:
    """Return (mean of x^p)^(1/p) of each map; p = 1 is the average, p -> infinity the maximum.

    Powers are taken of x / max x, so that they neither overflow nor vanish, in float32 at least.

    Shapes:
        maps: [B, F, h, w], x; what is below 1e-6 counts as that.
        power: [] or [1], p.
        returns: [B, F, 1, 1].
    """
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32)).clamp(min=LEAST)
    largest = wide.detach().amax((2, 3), keepdim=True)
    means = (wide / largest).pow(power).mean((2, 3), keepdim=True)
    return (largest * means.pow(1 / power)).to(maps.dtype)


class _Pool(Pooling):
    """Pooling by a generalized mean, of which the exponent may be learned."""

    def __init__(self, power: float, learned: bool):
        super().__init__()
        self.power = nn.Parameter(torch.tensor([power])) if learned else power

    def forward(self, maps: Tensor) -> Tensor:
        """Return [B, F, 1, 1] from [B, F, h, w]."""
        return generalized_mean(maps, self.power if isinstance(self.power, float) else self.power.clamp(min=1))


class Gem(Trick):
    """Replace the model's global average pooling by (mean of x^p)^(1/p); p is `power` at first and learned or fixed.

    Strong responses count more than by averaging, however small the place where they are. The exponent is a weight
    like others: weight decay pulls it down unless `no_bias_decay` is there. An exponent below 1 counts as 1.

    Paper: Radenovic et al. 2018, https://arxiv.org/abs/1711.02512, equation 3.
    Cost: three passes over the last feature maps.
    Deviates: one exponent for all maps, which the paper allows beside one for each; negative features count as 1e-6.

    Raises:
        ModelError: When the model does not pool by torch.nn.AdaptiveAvgPool2d(1).
    """

    seats = {Slot.MODEL: "pool"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose features are not pooled
    provides = frozenset({Trait.ALTERS_FEATURES})
    power: float = tunable(3.0, search=Float(1.0, 6.0), legal=at_least(1), unit="exponent")
    learned: bool = tunable(True, search=Choice(True, False))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its last global pooling replaced."""
        pools = [name for name, module in inner.named_modules()
                 if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)) and name]
        if not pools:
            raise ModelError(f"gem: {type(inner).__name__} has no torch.nn.AdaptiveAvgPool2d(1) inside it to replace. "
                             "Take a ResNet or another model that averages its last feature maps, or drop gem.")
        inner.set_submodule(pools[-1], _Pool(self.power, self.learned).to(run.device))
        return inner
