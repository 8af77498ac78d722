"""Where the points of an image go when it is moved: matrices that `Targets.warped` takes to move boxes alike.

A matrix maps a point (x, y, 1), in pixels from the upper left corner of the image before, to where it is afterwards.
"""
from __future__ import annotations

import torch
from torch import Tensor

from ..core.constants import constants


def stretch(scales: Tensor, shifts: Tensor | None = None) -> Tensor:
    """Return the matrices that multiply x and y, then shift them.

    Shapes:
        scales: [B, 2], of x and of y.
        shifts: [B, 2], pixels to the right and down; none if left out.
        returns: [B, 2, 3].
    """
    shifts = torch.zeros_like(scales) if shifts is None else shifts
    return torch.cat([torch.diag_embed(scales), shifts.unsqueeze(2)], 2)


def shift(right: Tensor, down: Tensor) -> Tensor:
    """Return the matrices that shift by pixels; [B] and [B] to [B, 2, 3]."""
    shifts = torch.stack([right, down], 1).float()
    return stretch(torch.ones_like(shifts), shifts)


def mirror(chosen: Tensor, width: int) -> Tensor:
    """Return the matrices that mirror the chosen images left to right.

    Shapes:
        chosen: [B], bool.
        returns: [B, 2, 3].
    """
    sign = torch.where(chosen, -1.0, 1.0)
    nothing = torch.zeros_like(sign)
    return stretch(torch.stack([sign, nothing + 1], 1), torch.stack([(1 - sign) / 2 * width, nothing], 1))


def quarter_turn(quarters: Tensor, height: int, width: int) -> Tensor:
    """Return the matrices that turn images counter-clockwise by right angles; odd numbers for square images alone.

    Args:
        quarters: How many right angles.
        height: Of the images.
        width: Of the images.

    Shapes:
        quarters: [B], int64.
        returns: [B, 2, 3].
    """
    return about_middle(quarters * (torch.pi / 2), height, width)


def about_middle(angle: Tensor, height: int, width: int) -> Tensor:
    """Return the matrices that turn images counter-clockwise about their middle; [B], radians, to [B, 2, 3]."""
    cosine = angle.cos()
    sine = angle.sin()
    turn = torch.stack([torch.stack([cosine, sine], 1), torch.stack([-sine, cosine], 1)], 1)
    middle = constants((width / 2, height / 2), turn)
    return torch.cat([turn, (middle - turn @ middle).unsqueeze(2)], 2)


def forward(sources: Tensor) -> Tensor:
    """Return where points go, from where each comes from: the inverse of matrices, [B, 2, 3]."""
    linear: Tensor = torch.linalg.inv_ex(sources[..., :2]).inverse      # `inv` waits for the device
    return torch.cat([linear, -linear @ sources[..., 2:]], 2)


def in_pixels(sources: Tensor, height: int, width: int) -> Tensor:
    """Return matrices of `torch.nn.functional.affine_grid`, which count from -1 to 1, as ones that count pixels.

    Both tell where a point of the moved image comes from.

    Shapes:
        sources: [B, 2, 3].
        returns: [B, 2, 3].
    """
    half = constants((width / 2, height / 2), sources)
    linear = sources[..., :2] * half.unsqueeze(1) / half
    shifts = sources[..., 2] * half + half - linear @ half
    return torch.cat([linear, shifts.unsqueeze(2)], 2)
