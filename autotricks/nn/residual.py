"""Residual blocks inside a model, where they take their strides, and where their branches end."""
from __future__ import annotations

import re

from torch import nn

from ..errors import ModelError

SHORTCUTS = ("downsample", "shortcut")    # as torchvision and timm call it, and as our ResNets do
DROPPING = ("DropPath", "StochasticDepth")  # what timm and torchvision put at the end of a branch
ROOM = re.compile(r"drop_path\d*")         # where timm has room for it, as a block's identity or its None


def residual_blocks(model: nn.Module, trick: str) -> list[nn.Module]:
    """Return the residual blocks, first to last: what has conv1, bn1, conv2, bn2 and a shortcut, be it None.

    Raises:
        ModelError: When there is none; it names the trick that looked for them.
    """
    blocks = [module for module in model.modules() if shortcut(module) is not None
              and all(isinstance(getattr(module, name, None), nn.Module) for name in ("conv1", "bn1", "conv2", "bn2"))]
    if not blocks:
        raise ModelError(f"{trick}: {type(model).__name__} has no residual blocks that it knows: modules with conv1, "
                         f"bn1, conv2, bn2 and downsample or shortcut. Take a ResNet or drop {trick}.")
    return blocks


def shortcut(block: nn.Module) -> str | None:
    """Return the name of a block's shortcut; None when it has none, not even one that is None."""
    return next((name for name in SHORTCUTS if hasattr(block, name)), None)


def pads_channels(layer: nn.Module) -> bool:
    """Return whether a layer is a shortcut without weights as our ResNets have it, with `stride` and `added`."""
    return isinstance(getattr(layer, "stride", None), int) and hasattr(layer, "added")


def main_path(block: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions of a block beside its shortcut, first to last."""
    return [module for name, module in block.named_modules()
            if isinstance(module, nn.Conv2d) and name.split(".")[0] not in SHORTCUTS]


def strided(block: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a block that have a stride other than 1, by name."""
    return {name: module for name, module in block.named_modules()
            if not any(module.children()) and getattr(module, "stride", 1) not in (1, (1, 1))}


def last_layer(block: nn.Module) -> str:
    """Return the name of what ends the branch of a residual block: bn3 where there is one, else bn2."""
    return "bn3" if isinstance(getattr(block, "bn3", None), nn.Module) else "bn2"


def rooms(model: nn.Module) -> list[tuple[nn.Module, list[str]]]:
    """Return the blocks that have room for stochastic depth, first to last, and what they call the places."""
    branches = []
    for block in model.modules():
        held = {**vars(block), **block._modules}
        names = [name for name, value in held.items() if type(value).__name__ in DROPPING or (
            ROOM.fullmatch(name) and (value is None or isinstance(value, nn.Identity)))]
        if names:
            branches.append((block, names))
    return branches
