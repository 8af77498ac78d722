"""Images of other sizes than a vision transformer was made for."""
from __future__ import annotations

from typing import Any

from torch import nn


def open_to_sizes(model: nn.Module) -> None:
    """Let timm's ViT and Swin models take images of any whole number of patches, in place; others stay as they are.

    A ViT then resamples its table of positions to the patches that there are, bicubically; a Swin makes the masks of
    its shifted windows for each image size. Both are what timm builds where it is told `dynamic_img_size`. At their own
    size they say what they said before, and no weight changes. Rotary positions are laid out for one size and stay so;
    so does a model whose own size is no whole number of patches, which it would refuse from then on.
    """
    patches: Any = getattr(model, "patch_embed", None)
    if not getattr(patches, "strict_img_size", False) or patches.img_size is None:
        return
    whole = all(side % patch == 0 for side, patch in zip(patches.img_size, patches.patch_size, strict=True))
    shifted = [module for module in model.modules() if hasattr(module, "dynamic_mask")]
    resamples = hasattr(model, "dynamic_img_size") and not hasattr(model, "rope")
    if not whole or not (shifted or resamples):
        return
    if not shifted:
        vars(model).update(dynamic_img_size=True)
        vars(patches).update(flatten=False, output_fmt=type(patches.output_fmt)("NHWC"))
    for module in shifted:
        vars(module).update(dynamic_mask=True)
    vars(patches).update(strict_img_size=False)


def patch_size(model: nn.Module) -> tuple[int, int]:
    """Return height and width of the patches that an image must have a whole number of; one pixel where none is cut."""
    patches: Any = getattr(model, "patch_embed", None)
    height, width = patches.patch_size if hasattr(patches, "strict_img_size") else (1, 1)
    return height, width
