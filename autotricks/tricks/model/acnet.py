"""ACNet: train each 3x3 convolution with a vertical and a horizontal one beside it, predict with one."""
from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.fusing import Fusible
from ...nn.initialization import draw, fans, kaiming
from ...nn.normalization import plain_pairs, replace_norm


def folded(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the one convolution that does what this one and batch norm in evaluation do.

    Shapes:
        returns: [F, D / groups, h, w] and [F].
    """
    assert norm.running_var is not None and norm.running_mean is not None
    scale = (norm.running_var + norm.eps).rsqrt() * (norm.weight if norm.affine else 1)
    shift = (0 if layer.bias is None else layer.bias) - norm.running_mean
    return layer.weight * scale.view(-1, 1, 1, 1), shift * scale + (norm.bias if norm.affine else 0)


class _Asymmetric(Fusible):
    """The sum of a 3x3, a 3x1 and a 1x3 convolution, each with its batch norm."""

    def __init__(self, square: nn.Conv2d, norm: nn.BatchNorm2d, gamma: float, generator: torch.Generator):
        super().__init__()
        self.square = square
        self.vertical, self.horizontal = (_flat(square, kernel, generator) for kernel in ((3, 1), (1, 3)))
        if norm.affine:
            norm.weight.data *= gamma   # not set: zero-gamma stays
        self.square_norm = norm
        self.vertical_norm = copy.deepcopy(norm)
        self.horizontal_norm = copy.deepcopy(norm)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, D, H, W] to [B, F, H / stride, W / stride]."""
        flat = self.vertical_norm(self.vertical(images)) + self.horizontal_norm(self.horizontal(images))
        summed: Tensor = self.square_norm(self.square(images)) + flat
        return summed

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """Return one 3x3 convolution with a bias: the flat kernels lie on the cross of the square one."""
        one = copy.deepcopy(self.square)
        old = self.square
        weight, bias = folded(old, self.square_norm)
        upright, more = folded(self.vertical, self.vertical_norm)
        level, most = folded(self.horizontal, self.horizontal_norm)
        weight[:, :, :, 1:2] += upright
        weight[:, :, 1:2, :] += level
        one.weight = nn.Parameter(weight)
        one.bias = nn.Parameter(bias + more + most)
        return one


def _flat(square: nn.Conv2d, kernel: tuple[int, int], generator: torch.Generator) -> nn.Conv2d:
    """Return a convolution with the kernel of one row or column that sees the middle of what the square one sees."""
    flat = nn.Conv2d(square.in_channels, square.out_channels, kernel, groups=square.groups, bias=False)
    flat.stride = square.stride
    flat.dilation = square.dilation
    flat.padding = tuple(far if size == 3 else 0 for far, size in zip(square.dilation, kernel))
    flat.to(square.weight)
    draw(flat, kaiming(fans(flat)[0]), generator)
    return flat


class Acnet(Trick):
    """Train each 3x3 convolution as the sum of a 3x3, a 3x1 and a 1x3 one, each with batch norm of its own.

    The flat kernels strengthen the cross of the square one. Since convolution is linear, the three are one in
    evaluation: `autotricks.nn.fusing.fuse` returns the model as it was before, with the weights added up. The 3x3
    kernel keeps the model's initialization. Every convolution of 3x3 is changed whose output goes into batch norm
    alone. Sits with the normalizations because it brings its own: no other norm can take the place of batch norm.

    Paper: Ding et al. 2019, https://arxiv.org/abs/1908.03930, equations 5 to 8.
    Raises: ModelError when no 3x3 convolution goes into batch norm.
    Cost: in training 1.7 times the multiplications of the convolutions and three times their activations; none once
        fused.
    Deviates: `gamma`, where each batch norm's scale begins, is 1 in the paper; the authors' code offers 1/3, so that
        the sum begins as large as one. A scale that zero-gamma has set to 0 stays 0. Kaiming draws the flat kernels.
    """

    seats = {Slot.MODEL: "norm"}
    provides = frozenset({Trait.NEW_WEIGHTS})
    gamma: float = tunable(1.0, search=Float(0.33, 1.0), legal=Above(0), unit="scale at the start")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with three branches for each square convolution."""
        for name, square, norm_name, norm in plain_pairs(inner, run.image_shape, self.name, square=True):
            inner.set_submodule(name, _Asymmetric(square, norm, self.gamma, run.generator))
            replace_norm(inner, norm_name, nn.Identity())
        return inner
