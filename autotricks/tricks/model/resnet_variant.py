"""ResNet-A to ResNet-D: where a residual network loses resolution, and how much of the image it ignores there."""
from __future__ import annotations

from itertools import pairwise

from torch import nn

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...errors import ModelError
from ...nn.initialization import draw, fans, kaiming
from ...nn.residual import pads_channels, residual_blocks, shortcut


def move_stride(block: nn.Module, source: str, target: str) -> bool:
    """Move the stride of a bottleneck from one of its convolutions to another; return whether it is a bottleneck."""
    if not isinstance(getattr(block, "conv3", None), nn.Module):
        return False
    here = block.get_submodule(source)
    there = block.get_submodule(target)
    if isinstance(here, nn.Conv2d) and isinstance(there, nn.Conv2d) and here.stride != (1, 1):
        here.stride, there.stride = (1, 1), here.stride
    return True


def average_shortcut(block: nn.Module) -> bool:
    """Let a strided shortcut average cells of pixels instead of taking one of each; return whether it was strided.

    In our ResNets the averages then get their channels of zeros, in others they go through the 1x1 convolution.
    """
    name = shortcut(block) or ""
    path = getattr(block, name, None)
    layers = list(path) if isinstance(path, nn.Sequential) else [path]
    first = layers[0]
    if isinstance(first, nn.Conv2d) and first.kernel_size == (1, 1) and first.stride != (1, 1):
        stride = first.stride[0]
        first.stride = (1, 1)
    elif isinstance(first, nn.Module) and pads_channels(first) and first.stride != 1:
        stride = int(first.stride)  # type: ignore[arg-type]
        first.stride = 1  # type: ignore[assignment]
    else:
        return False
    pool = nn.AvgPool2d(stride, stride, ceil_mode=True)
    block.set_submodule(name, nn.Sequential(pool, *layers))
    return True


def deep_stem(model: nn.Module, run: Run) -> bool:
    """Put three 3x3 convolutions in the place of a first convolution of 7x7; return whether it was one.

    Half as many channels lie between them. Batch norm and ReLU behind the last one are those of the old.
    """
    name, old = next((name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))
    norm = next((module for module in model.modules() if isinstance(module, nn.BatchNorm2d)), None)
    if old.kernel_size != (7, 7) or norm is None:
        return False
    widths = old.in_channels, old.out_channels // 2, old.out_channels // 2, old.out_channels
    layers = nn.Sequential()
    for inputs, outputs in pairwise(widths):
        layers.extend([nn.Conv2d(inputs, outputs, 3, 1 if layers else old.stride[0], 1, bias=False),
                       nn.BatchNorm2d(outputs, norm.eps, norm.momentum), nn.ReLU(inplace=True)])
    layers = layers[:-2].to(old.weight)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            draw(layer, kaiming(fans(layer)[1]), run.generator)
    model.set_submodule(name, layers)
    return True


class ResnetVariant(Trick):
    """Change a ResNet into its variant A, B, C or D, each of which has what the one before it has, and more.

    In a, the original, a bottleneck takes its stride in its first 1x1 convolution, which ignores three quarters of what
    it is given. b takes it in the 3x3 convolution, as the ResNets of timm and torchvision do. c has three 3x3
    convolutions in place of the first 7x7. d averages cells of 2x2 pixels in shortcuts, which ignore three quarters
    otherwise. Blocks of two 3x3 convolutions begin with b; our ResNets, whose shortcuts have no weights and whose first
    convolution is 3x3, can become d alone.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 4, tables 4 and 5; variant A is that of He et al.
        2015, https://arxiv.org/abs/1512.03385.
    Raises: ModelError when the model has no residual blocks, or nothing in which the variant differs from the one
        before it: no bottleneck for a, no first convolution of 7x7 for c, no strided shortcut for d.
    Cost: 6 % more multiplications in a ResNet-50 for c and d; a saves as much.
    Deviates: A cell at the border averages the pixels there are, as in timm's ResNet-D. The new convolutions are drawn
        as timm and torchvision draw theirs (Kaiming, fan_out), whatever initialization was chosen for the others.
    """

    seats = {Slot.MODEL: "block"}
    provides = frozenset({Trait.NEW_WEIGHTS})
    variant: str = tunable("d", search=Choice("a", "b", "c", "d"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model as its variant."""
        blocks = residual_blocks(inner, self.name)
        moved = [move_stride(block, *(("conv2", "conv1") if self.variant == "a" else ("conv1", "conv2")))
                 for block in blocks]
        stem = self.variant in "cd" and deep_stem(inner, run)
        averaged = [average_shortcut(block) for block in blocks if self.variant == "d"]
        lacks = {"a": "" if any(moved) else "bottleneck of three convolutions",
                 "b": "", "c": "" if stem else "first convolution of 7x7",
                 "d": "" if any(averaged) else "shortcut that takes one pixel of several"}[self.variant]
        if lacks:
            raise ModelError(f"resnet_variant: {type(inner).__name__} has no {lacks}, so it cannot become variant "
                             f"{self.variant}. Take another variant, another model, or drop resnet_variant.")
        return inner
