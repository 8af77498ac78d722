"""Random affine: turn, scale and shift each image by random amounts."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.affine import Motion, matrices
from ...functional.geometry import forward, in_pixels


def moved(images: Tensor, motion: Motion, fill: Tensor) -> Tensor:
    """Return the images turned and scaled about their middle, then shifted.

    Shapes:
        images: [B, D, H, W].
        motion: of B images.
        fill: [D, 1, 1], what moves in from outside.
    """
    grid = F.affine_grid(sources(motion, images), [*images.shape], align_corners=False)
    return F.grid_sample(images - fill, grid, mode="bilinear", align_corners=False).add_(fill)


def sources(motion: Motion, images: Tensor) -> Tensor:
    """Return the matrices, [B, 2, 3], that tell `affine_grid` where each pixel of the moved images comes from."""
    return matrices(motion, torch.zeros_like(motion.shift), images.shape[2], images.shape[3])


class RandomAffine(Trick):
    """Turn each image by up to `degrees` to either side, scale it by 1 - `scale` to 1 + `scale`, and shift it.

    It is shifted by up to `shift` of its height and of its width, all uniformly. What moves in is the channel mean.
    Policies such as `trivial_augment` have such operations among others.

    Paper: Simard et al. 2003, https://doi.org/10.1109/ICDAR.2003.1227801, section 2, affine transforms.
    Cost: one sampling of the images.
    """

    seats = {Slot.AUGMENT: "flip"}
    degrees: float = tunable(15.0, search=Float(0.0, 30.0), legal=Between(0, 180), unit="degrees")
    scale: float = tunable(0.1, search=Float(0.0, 0.3), legal=Between(0, 1, without=(1,)), unit="of the factor 1")
    shift: float = tunable(0.1, search=Float(0.0, 0.2), legal=Between(0, 1), unit="fraction of the image's side")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what moves each image of a batch."""
        def shaken(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            angle, scale, right, down = 2 * torch.rand(4, len(images), generator=run.generator, device=run.device) - 1
            shifts = torch.stack([right * (self.shift * images.shape[3]), down * (self.shift * images.shape[2])], 1)
            motion = Motion(angle * math.radians(self.degrees), 1 + self.scale * scale, torch.ones_like(angle), shifts)
            return batch.moved(moved(images, motion, run.mean),
                               lambda: forward(in_pixels(sources(motion, images), *images.shape[2:])))
        return shaken
