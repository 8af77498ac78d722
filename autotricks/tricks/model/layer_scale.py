"""Layer scale: begin with short residual branches, each channel of which learns its length."""
from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.residual import last_layer, main_path, residual_blocks

OWN = re.compile(r"(gamma|ls|layer_scale)_?\d*")    # what timm and torchvision call the scales, as weight or as module


class _Scale(nn.Module):
    """The product of each channel and a weight, as timm's LayerScale is."""

    def __init__(self, width: int, scale: float, axis: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), scale))
        self.axis = axis

    def forward(self, branch: Tensor) -> Tensor:
        """Return a scaled branch, [B, D, H, W] where channels lie on axis 1, [..., D] where they lie on the last."""
        return branch * (self.gamma if self.axis < 0 else self.gamma.view(-1, 1, 1))


def scales(model: nn.Module) -> list[nn.Parameter]:
    """Return the scales of residual branches that a model has by itself."""
    found = [(name.split("."), weight) for name, weight in model.named_parameters()]
    return [weight for path, weight in found if OWN.fullmatch(path[-1])
            and "Norm" not in type(model.get_submodule(".".join(path[:-1]))).__name__]


def empty_places(model: nn.Module) -> list[tuple[nn.Module, str, int, int]]:
    """Return, for each place that a model left empty for a scale, block, name, width and axis of the channels."""
    places = []
    for block in model.modules():
        norm = next((child for child in block.children() if isinstance(child, nn.LayerNorm)), None)
        names = [name for name, child in block.named_children()
                 if OWN.fullmatch(name) and isinstance(child, nn.Identity)]
        if norm is not None:
            axis = 1 if type(norm).__name__.endswith("2d") else -1
            places += [(block, name, norm.normalized_shape[-1], axis) for name in names]
    return places


class LayerScale(Trick):
    """Multiply each residual branch by a diagonal matrix that is learned and begins at `init`.

    A network then begins near the identity, as with `zero_gamma`, but all of it learns from the first step. The paper
    takes 0.1 for up to 18 blocks, 1e-5 for up to 24 and 1e-6 for more. A model that has such scales, such as ConvNeXt,
    has them set to `init`. They are weights of the exported model like others. It is for training from scratch: weights
    of a file were trained with branches of their own length, so it is refused beside them.

    Paper: Touvron et al. 2021, https://arxiv.org/abs/2103.17239, section 2, equation 4.
    Cost: one pass over the end of each branch.
    Deviates: in a ResNet it stands behind the last normalization of each block; the paper has transformers.

    Raises:
        ModelError: When the model has neither scales nor a place for them nor residual blocks.
    """

    seats = {Slot.MODEL: "branch"}
    provides = frozenset({Trait.NEW_WEIGHTS})
    init: float = tunable(0.1, search=Float(1e-6, 1.0, log=True), legal=Above(0), unit="factor of a branch")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with scaled branches."""
        own = scales(inner)
        for weight in own:
            nn.init.constant_(weight, self.init)
        places = [] if own else empty_places(inner)
        for block, name, width, axis in places:
            setattr(block, name, _Scale(width, self.init, axis).to(run.device))
        for block in [] if own or places else residual_blocks(inner, self.name):
            name = last_layer(block)
            scale = _Scale(main_path(block)[-1].out_channels, self.init, 1).to(run.device)
            block.set_submodule(name, nn.Sequential(block.get_submodule(name), scale))
        return inner
