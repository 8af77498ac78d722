"""Resampling: images of other sizes, for a whole batch or each image at its own scale."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.batch import Batch
from ..core.constants import constants
from ..core.run import Run
from ..errors import ModelError
from ..nn.activation_maps import evaluating
from ..nn.image_size import open_to_sizes, patch_size
from .geometry import stretch


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Return the images bilinearly resized, smoothed where they shrink.

    Shapes:
        images: [B, D, H, W].
        returns: [B, D, height, width].
    """
    if images.shape[-2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True)


def at_size(batch: Batch, height: int, width: int) -> Batch:
    """Return the batch with its images resized, and boxes with them."""
    images = batch.images
    scales = width / images.shape[-1], height / images.shape[-2]
    return batch.moved(resized(images, height, width),
                       lambda: stretch(constants(scales, images).expand(len(batch), 2)))


def sides(run: Run, scale: float) -> tuple[int, int]:
    """Return height and width of the run's images times `scale`, in whole pixels."""
    height, width = (max(1, round(side * scale)) for side in run.image_shape[1:])
    return height, width


def whole_patches(run: Run, height: int, width: int) -> tuple[int, int]:
    """Return the size nearest to this one that the model can cut into patches; the same where it cuts none."""
    tall, broad = patch_size(run.model)
    return max(tall, (height + tall // 2) // tall * tall), max(broad, (width + broad // 2) // broad * broad)


def require_size(run: Run, height: int, width: int, who: str) -> None:
    """Let the model look at one black image of this size; a vision transformer is opened to other sizes for it.

    Args:
        run: Holds the model.
        height: Of the image.
        width: Of the image.
        who: The trick that wants the size.

    Raises:
        ModelError: When the model cannot take it.
    """
    open_to_sizes(run.model)
    try:
        with torch.no_grad(), evaluating(run.model):
            run.model(torch.zeros(1, run.image_shape[0], height, width, device=run.device))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ModelError(f"{who}: {type(run.model).__name__} cannot take images of {height} x {width}: {reason}. Take "
                         f"a model that averages its feature maps, such as a ResNet, or drop {who}.") from None


def shrinking(size: int, least: int, device: torch.device) -> Tensor:
    """Return the matrices that shrink a column of `size` pixels to `least`, ..., `size`; the rows after are zeros.

    Shapes:
        returns: [size - least + 1, size, size].
    """
    column = torch.eye(size, device=device).view(1, 1, size, size)
    return torch.stack([F.pad(resized(column, length, size)[0, 0], (0, 0, 0, size - length))
                        for length in range(least, size + 1)])


def coarsening(size: int, least: int, device: torch.device) -> Tensor:
    """Return the matrices that shrink a column of `size` pixels to `least`, ..., `size` and enlarge it again.

    Shapes:
        returns: [size - least + 1, size, size].
    """
    column = torch.eye(size, device=device).view(1, 1, size, size)
    return torch.cat([resized(resized(column, length, size), size, size)[0] for length in range(least, size + 1)])


def separately(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return each image multiplied by its own matrices.

    Shapes:
        images: [B, D, H, W].
        rows: [B, H, H], from the left.
        columns: [B, W, W], from the right, transposed.
    """
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT
