"""Drawing weights anew: what tricks share that initialize a model or add layers to it."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from ..errors import ModelError
from .classifier import trunk

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NO_LAYERS = (nn.Embedding, nn.LayerNorm)    # their weights are tables and scales, whatever their dimensions


def fans(layer: nn.Module, name: str = "weight") -> tuple[int, int]:
    """Return how many inputs an output of a layer sums, and how many outputs an input goes to.

    Unlike `torch.nn.init` this knows groups: in a depthwise convolution an input goes to its own outputs alone. The
    query, key and value of torch's attention read the same inputs by one weight, so an input goes to all three.

    Args:
        layer: A convolution, a linear layer or another that multiplies by a weight [outputs, inputs, ...].
        name: Of the weight.
    """
    weight = layer.get_parameter(name)
    shape = getattr(layer, "weight_shape", weight.shape)    # of each of several convolutions that timm mixes
    positions = math.prod(shape[2:])
    groups = int(getattr(layer, "groups", 1))
    if isinstance(layer, TRANSPOSED):
        return shape[0] // groups * positions, shape[1] * positions
    return shape[1] * positions, shape[0] // groups * positions


def matrices(layer: nn.Module) -> list[str]:
    """Return the names of a module's own weights that multiply: of two dimensions or more and called a weight.

    Those of convolutions, linear, recurrent and attention layers; not tokens and tables of positions.
    """
    if isinstance(layer, NO_LAYERS):
        return []
    return [name for name, weight in layer.named_parameters(recurse=False) if "weight" in name and weight.ndim > 1]


@torch.no_grad()
def draw(layer: nn.Module, variance: float, generator: torch.Generator, uniform: bool = False,
         name: str = "weight") -> None:
    """Draw a weight of a layer around 0 with this variance, and set the layer's biases to 0.

    Args:
        layer: A convolution, a linear layer or another with such a weight.
        variance: Of each number, > 0.
        generator: Source of randomness, on the layer's device.
        uniform: From a uniform distribution instead of a normal one.
        name: Of the weight.
    """
    weight = layer.get_parameter(name)
    drawn = torch.empty(weight.shape, device=generator.device)
    if uniform:
        bound = math.sqrt(3 * variance)
        drawn.uniform_(-bound, bound, generator=generator)
    else:
        drawn.normal_(0, math.sqrt(variance), generator=generator)
    weight.copy_(drawn)
    for word, bias in layer.named_parameters(recurse=False):
        if "bias" in word and bias.ndim < 3:    # those that torch's attention adds to its keys are no biases
            bias.zero_()


def initialize(model: nn.Module, variance: Callable[[int, int], float], generator: torch.Generator,
               uniform: bool) -> nn.Module:
    """Draw the weights of all layers that multiply, in place, and set their biases to 0.

    Of a detector those of the trunk are drawn; the others begin so that nearly nothing is found.

    Args:
        model: What to initialize.
        variance: From the fans of a layer, in and out, to the variance of its weights.
        generator: Source of randomness, on the model's device.
        uniform: From uniform distributions instead of normal ones.

    Raises:
        ModelError: When the model has no such layer.
    """
    drawn = [(module, name) for module in model.get_submodule(trunk(model)).modules() for name in matrices(module)]
    if not drawn:
        raise ModelError(f"{type(model).__name__} has no convolution and no linear layer to initialize. Take another "
                         "model, or drop the initialization.")
    for layer, name in drawn:
        draw(layer, variance(*fans(layer, name)), generator, uniform, name)
    return model


def kaiming(fan: int) -> float:
    """Return the variance of weights before a ReLU, 2 / fan.

    Paper: He et al. 2015, https://arxiv.org/abs/1502.01852, equations 10 and 14.
    """
    return 2 / fan
