"""Moving parts of images: what tricks share that put transformed images in place of those of rare classes."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DEGREES = 45
SCALE = 0.2
SHIFT = 0.25  # greatest turn, greatest change of size, greatest shift as a share of a side
TURN, MOVE, MIRROR = range(3)


@dataclass(frozen=True, eq=False)
class Motion:
    """How each image of a batch moves: mirrored in its middle column, turned and scaled about a center, then shifted.

    Shapes:
        angle: [B], radians, positive is counter-clockwise.
        scale: [B], > 0.
        sign: [B], -1 where mirrored, else 1.
        shift: [B, 2], pixels to the right and down.
    """

    angle: Tensor
    scale: Tensor
    sign: Tensor
    shift: Tensor


def synthetic_fraction(counts: Tensor) -> Tensor:
    """Return the share of synthetic images of each class when n_max + n_min - n of them join its n images.

    All classes then have n_max + n_min; n_min is the size of the smallest class that has images.

    Paper: Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT, CAM-based sampling.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], in [0, 1].
    """
    enlarged = counts.max() + torch.where(counts > 0, counts, torch.inf).min()
    return 1 - counts / enlarged


def motions(chances: Tensor, height: int, width: int, mirrors: bool) -> Motion:
    """Return one motion an image: turn and scale, shift, or mirror, each as likely.

    Turns are uniform within 45 degrees to either side, scales between 0.8 and 1.2, shifts over the whole pixels up to a
    quarter of the side to either side, in both directions at once.

    Args:
        chances: Uniform numbers: which motion, angle, scale, shift to the right, shift down.
        height: Of the images.
        width: Of the images.
        mirrors: Whether mirroring is among the motions.

    Shapes:
        chances: [5, B], in [0, 1).
    """
    kind, angle, scale, right, down = chances
    kind = (kind * (3 if mirrors else 2)).long()
    turned = torch.where(kind == TURN, (2 * angle - 1) * math.radians(DEGREES), 0.0)
    scaled = torch.where(kind == TURN, 1 + (2 * scale - 1) * SCALE, 1.0)
    shifts = torch.stack([_whole(right, width), _whole(down, height)], 1)
    return Motion(turned, scaled, torch.where(kind == MIRROR, -1.0, 1.0),
                  torch.where((kind == MOVE).unsqueeze(1), shifts, 0.0))


def _whole(uniform: Tensor, size: int) -> Tensor:
    """Return a whole number of pixels, uniform within a share of the size to either side."""
    most = int(size * SHIFT)
    return (uniform * (2 * most + 1)).floor() - most


def middle(inside: Tensor) -> Tensor:
    """Return the center of the smallest box around what is inside, in pixels right of and below the image's center.

    Shapes:
        inside: [B, H, W], bool; the center of an empty one is the image's.
        returns: [B, 2].
    """
    return torch.stack([_center(inside.any(1)), _center(inside.any(2))], 1)


def _center(inside: Tensor) -> Tensor:
    """Return the middle between the first and the last position inside, from the middle of all; inside is [B, S]."""
    size = inside.shape[1]
    positions = torch.arange(size, device=inside.device)
    first = torch.where(inside, positions, size).amin(1)
    last = torch.where(inside, positions, -1).amax(1)
    return (first + last - (size - 1)) / 2


def matrices(motion: Motion, center: Tensor, height: int, width: int) -> Tensor:
    """Return the matrices that tell `torch.nn.functional.affine_grid` where each pixel of the moved image comes from.

    Shapes:
        center: [B, 2], pixels right of and below the image's center.
        returns: [B, 2, 3].
    """
    cosine = motion.angle.cos() / motion.scale
    sine = motion.angle.sin() / motion.scale
    x, y = center.unbind(1)
    far_x, far_y = (center + motion.shift).unbind(1)
    across = [cosine, -sine * (height / width), (x - cosine * far_x + sine * far_y) * (2 / width)]
    along = [sine * (width / height), cosine, (y - sine * far_x - cosine * far_y) * (2 / height)]
    return torch.stack([torch.stack(across, 1) * motion.sign.unsqueeze(1), torch.stack(along, 1)], 1)


def moved(images: Tensor, inside: Tensor, matrices: Tensor) -> Tensor:
    """Return the images with what is inside moved over them; the rest stays as it is.

    The moved image, background and all, is seen where its inside comes to lie and, so that no copy is left behind,
    where it lay; both as far as the moved image reaches. Its edge is sharp: a pixel is the moved image's where at least
    half of what is sampled for it lies inside.

    Shapes:
        images: [B, D, H, W].
        inside: [B, H, W], bool.
        matrices: [B, 2, 3], of `matrices`.
    """
    grid = F.affine_grid(matrices, [*images.shape], align_corners=False)
    layers = torch.cat([images, inside.unsqueeze(1).to(images.dtype)], 1)
    sampled = F.grid_sample(layers, grid, mode="bilinear", padding_mode="border", align_corners=False)
    seen = (inside | (sampled[:, -1] >= 0.5)) & (grid.abs() <= 1).all(3)
    return torch.where(seen.unsqueeze(1), sampled[:, :-1], images)


def synthesized(images: Tensor, inside: Tensor, fractions: Tensor, generator: torch.Generator, mirrors: bool) -> Tensor:
    """Return the images, some of them with their inside moved in a random way, each in its own.

    Which ones is a matter of data, so all are computed: to compute only those would wait for the device.

    Shapes:
        images: [B, D, H, W].
        inside: [B, H, W], bool.
        fractions: [B], the probability of each image to be replaced.
    """
    size = images.shape[2], images.shape[3]
    chances = torch.rand(6, len(images), generator=generator, device=images.device)
    inside = inside & (chances[0] < fractions).view(-1, 1, 1)
    return moved(images, inside, matrices(motions(chances[1:], *size, mirrors), middle(inside), *size))
