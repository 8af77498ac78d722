"""Unit stride: end with feature maps of twice the resolution."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.domain import Choice, Int, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...errors import ModelError
from ...nn.residual import main_path, pads_channels, residual_blocks, strided


def shifted(images: Tensor, pixels: int, dim: int) -> Tensor:
    """Return at each pixel the one so many further on; a pixel that has none is returned itself."""
    size = images.shape[dim]
    return torch.cat([images.narrow(dim, min(pixels, size), max(0, size - pixels)),
                      images.narrow(dim, max(0, size - pixels), min(pixels, size))], dim)


class _Cells(nn.Module):
    """The average of four pixels around every pixel, `spacing` apart: a pooling of 2x2 without its stride."""

    spacing = 1

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, D, H, W] to the same shape."""
        for dim in (2, 3):
            images = (images + shifted(images, self.spacing, dim)) / 2
        return images


def dilate(layer: nn.Module) -> None:
    """Let a convolution or an average read every other pixel of those that it read, in place."""
    if isinstance(layer, _Cells):
        layer.spacing *= 2
    elif isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1 and not isinstance(layer.padding, str):
        layer.dilation = layer.dilation[0] * 2, layer.dilation[1] * 2
        layer.padding = layer.padding[0] * 2, layer.padding[1] * 2


def unstrided(layer: nn.Module, dilated: bool) -> nn.Module | None:
    """Return a layer with stride 1 in place of this one; None for a kind of layer that is not known.

    A convolution or a shortcut of our ResNets is changed in place. An average over cells of 2x2 pixels is left out,
    or where what follows is dilated, taken around every pixel: what follows reads it at every other.
    """
    if isinstance(layer, nn.Conv2d):
        layer.stride = (1, 1)
    elif isinstance(layer, nn.AvgPool2d) and layer.kernel_size in (2, (2, 2)) and layer.padding in (0, (0, 0)):
        return _Cells() if dilated else nn.Identity()
    elif pads_channels(layer):
        layer.stride = 1  # type: ignore[assignment]
    else:
        return None
    return layer


class UnitStride(Trick):
    """Set the last stride of a ResNet to 1, so that its last feature maps are twice as large in each direction.

    `stages` says of how many stages. With `dilated` the convolutions behind it read every other pixel, so that each
    sees as much of the image as before: the old maps are then every other pixel of the new ones. Without, they see
    half as much. Names and shapes of all weights stay. Tricks of one seat come in the order of their names: strides are
    those of the variant of ResNet that another trick has made.

    Paper: Luo et al. 2019, https://arxiv.org/abs/1903.07071, section 3.4, without dilation; with it, Yu et al. 2017,
        https://arxiv.org/abs/1705.09914, section 2.
    Raises: ModelError when the model has no residual blocks or fewer that take a stride, or takes it in a layer that
        is not known, such as blur pooling.
    Cost: the last stage computes four times as much and its activations take four times the memory.
    """

    seats = {Slot.MODEL: "block"}
    stages: int = tunable(1, search=Choice(1, 2), legal=Int(1, 3), unit="stages, counted from the last")
    dilated: bool = tunable(False, search=Choice(False, True))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its last strides 1."""
        blocks = residual_blocks(inner, self.name)
        indices = [index for index, block in enumerate(blocks) if strided(block)]
        if len(indices) < self.stages:
            raise ModelError(f"unit_stride.stages: {type(inner).__name__} has {len(indices)} stages that begin with a "
                             f"stride in a residual block, {self.stages} are asked for. Lower it, take another model "
                             "or drop unit_stride.")
        for index in indices[:-self.stages - 1:-1]:
            self._unstride(blocks[index])
            behind = [layer for block in blocks[index + 1:] for layer in block.modules()]
            for layer in behind if self.dilated else ():
                dilate(layer)
        return inner

    def _unstride(self, block: nn.Module) -> None:
        """Take the stride out of a block; dilate what lies behind it on the main path."""
        layers = strided(block)
        path = main_path(block)
        first = next((index for index, layer in enumerate(path) if layer in layers.values()), len(path))
        for name, layer in layers.items():
            new = unstrided(layer, self.dilated)
            if new is None:
                raise ModelError(f"unit_stride: the stride of {type(layer).__name__} in {name} of a "
                                 f"{type(block).__name__} cannot be changed. Take another model or drop unit_stride.")
            block.set_submodule(name, new)
        for layer in path[first + 1:] if self.dilated else ():
            dilate(layer)
