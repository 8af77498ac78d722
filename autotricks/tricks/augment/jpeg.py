"""JPEG: compress images as a camera or the web does, and see what is left."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, Int, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick

BLOCK = 8
# ITU-T T.81, annex K: how coarse each frequency is at quality 50, for brightness and for color.
BRIGHTNESS = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
COLOR = "17 18 24 47 18 21 26 66 24 26 56 99 47 66 99 99"   # the upper left quarter; 99 elsewhere
RED = 0.299
GREEN = 0.587
BLUE = 0.114      # ITU-R BT.601: their weights in brightness


def tables(device: torch.device) -> Tensor:
    """Return the steps of the 64 frequencies at quality 50, for brightness and for color, [2, 64]."""
    color = torch.full((BLOCK, BLOCK), 99.0)
    color[:4, :4] = torch.tensor([float(word) for word in COLOR.split()]).view(4, 4)
    return torch.stack([torch.tensor([float(word) for word in BRIGHTNESS.split()]), color.flatten()]).to(device)


def cosines(device: torch.device) -> Tensor:
    """Return the discrete cosine transform of a block of 64 pixels as a matrix, [64, 64]."""
    index = torch.arange(BLOCK)
    basis = torch.cos(math.pi / BLOCK * torch.outer(index, index + 0.5)) / 2
    basis[0] *= math.sqrt(0.5)
    transform = torch.kron(basis, basis)
    return transform.to(device)


def coded(planes: Tensor, steps: Tensor, transform: Tensor) -> Tensor:
    """Return planes of pixels after their frequencies were rounded to whole steps.

    Shapes:
        planes: [B, D, h, w], around 0, with sides that 8 divides.
        steps: [B, 64].
        transform: [64, 64].
    """
    down = planes.shape[2] // BLOCK
    along = planes.shape[3] // BLOCK
    blocks = planes.unflatten(3, (along, BLOCK)).unflatten(2, (down, BLOCK)).movedim(3, 4).flatten(4)
    steps = steps.view(-1, 1, 1, 1, BLOCK ** 2)
    rounded = (blocks @ transform.T / steps).round() * steps @ transform
    lossy: Tensor = rounded.unflatten(4, (BLOCK, BLOCK)).movedim(4, 3)
    return lossy.reshape(planes.shape)


def compressed(images: Tensor, quality: Tensor, steps: Tensor, transform: Tensor) -> Tensor:
    """Return the images as they come out of JPEG, color at half the resolution.

    Args:
        images: In [0, 1].
        quality: From 1 to 100.
        steps: Of `tables`.
        transform: Of `cosines`.

    Shapes:
        images: [B, D, H, W]; of three channels a color image, else each by itself.
        quality: [B].
    """
    height, width = images.shape[2:]
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    steps = ((steps * scale + 50) / 100).floor().clamp(1, 255)
    multiple = 2 * BLOCK if images.shape[1] == 3 else BLOCK
    pixels = F.pad((images * 255).round(), (0, -width % multiple, 0, -height % multiple), mode="replicate")
    if images.shape[1] != 3:
        pixels = coded(pixels - 128, steps[:, 0], transform) + 128
        return pixels[:, :, :height, :width].round().clamp(0, 255) / 255
    red, green, blue = pixels.split(1, 1)
    bright = RED * red + GREEN * green + BLUE * blue
    tint = torch.cat([(blue - bright) / (2 - 2 * BLUE), (red - bright) / (2 - 2 * RED)], 1).round()
    tint = tint.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5)).round()
    bright = (coded(bright.round() - 128, steps[:, 0], transform) + 128).round().clamp(0, 255)
    tint = coded(tint, steps[:, 1], transform).round().clamp(-128, 127)[:, :, :-(-height // 2), :-(-width // 2)]
    blueness, redness = F.interpolate(tint, scale_factor=2, mode="bilinear")[:, :, :height, :width].split(1, 1)
    bright = bright[:, :, :height, :width]
    blue = bright + (2 - 2 * BLUE) * blueness
    red = bright + (2 - 2 * RED) * redness
    green = (bright - RED * red - BLUE * blue) / GREEN
    return torch.cat([red, green, blue], 1).round().clamp(0, 255) / 255


class Jpeg(Trick):
    """Compress some images by JPEG, each at a quality of its own, uniform from `lowest` to 95.

    Paper: Wallace 1992, https://doi.org/10.1109/30.125072; as an augmentation, random quality in Wei et al. 2020,
        https://arxiv.org/abs/2012.14672. `downscale` beside it is the other half.
    Cost: two products of 64 x 64 a block of 64 pixels, and ten copies of the images.
    Deviates: Only what is lost is computed, on the device. Libjpeg's arithmetic of whole numbers now and then rounds a
        frequency to the next step: its images are at 41 dB from these, where the loss itself is at 22 to 35.
    """

    seats = {Slot.AUGMENT: "quality"}
    lowest: int = tunable(30, search=Int(10, 90), legal=Between(1, 95), unit="quality")
    probability: float = tunable(0.3, search=Float(0.1, 0.5), legal=Between(0, 1), unit="of an image to be compressed")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what compresses some images of a batch."""
        steps = tables(run.device)
        transform = cosines(run.device)

        def lossy(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            quality = torch.randint(self.lowest, 96, (len(images),), generator=run.generator, device=run.device)
            chosen = torch.rand(len(images), generator=run.generator, device=run.device) < self.probability
            lower = compressed(images, quality, steps, transform)
            return batch.painted(torch.where(chosen.view(-1, 1, 1, 1), lower, images))
        return lossy
