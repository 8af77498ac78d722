"""Drawing weights anew: what tricks share that initialize a model or add layers to it."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import ModelError

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fans(layer: nn.Module) -> tuple[int, int]:
    """Return how many inputs an output of a convolution or linear layer sums, and how many outputs an input goes to.

    Unlike `torch.nn.init` this knows groups: in a depthwise convolution an input goes to its own outputs alone.
    """
    weight = layer.get_parameter("weight")
    positions = weight[0, 0].numel()
    return weight.shape[1] * positions, weight.shape[0] // int(getattr(layer, "groups", 1)) * positions


@torch.no_grad()
def draw(layer: nn.Module, variance: float, generator: torch.Generator, uniform: bool = False) -> None:
    """Draw the weights of a layer around 0 with this variance, and set its bias to 0.

    Args:
        layer: A convolution or a linear layer.
        variance: Of each weight, > 0.
        generator: Source of randomness, on the layer's device.
        uniform: From a uniform distribution instead of a normal one.
    """
    weight = layer.get_parameter("weight")
    bias = getattr(layer, "bias", None)
    drawn = torch.empty(weight.shape, device=generator.device)
    if uniform:
        bound = math.sqrt(3 * variance)
        drawn.uniform_(-bound, bound, generator=generator)
    else:
        drawn.normal_(0, math.sqrt(variance), generator=generator)
    weight.copy_(drawn)
    if isinstance(bias, Tensor):
        bias.zero_()


def initialize(model: nn.Module, variance: Callable[[int, int], float], generator: torch.Generator,
               uniform: bool) -> nn.Module:
    """Draw the weights of all convolutions and linear layers, in place, and set their biases to 0.

    Args:
        model: What to initialize.
        variance: From the fans of a layer, in and out, to the variance of its weights.
        generator: Source of randomness, on the model's device.
        uniform: From uniform distributions instead of normal ones.

    Raises:
        ModelError: When the model has no such layer.
    """
    layers = [module for module in model.modules() if isinstance(module, WEIGHTED)]
    if not layers:
        raise ModelError(f"{type(model).__name__} has no convolution and no linear layer to initialize. Take another "
                         "model, or drop the initialization.")
    for layer in layers:
        draw(layer, variance(*fans(layer)), generator, uniform)
    return model


def kaiming(fan: int) -> float:
    """Return the variance of weights before a ReLU, 2 / fan.

    Paper: He et al. 2015, https://arxiv.org/abs/1502.01852, equations 10 and 14.
    """
    return 2 / fan
