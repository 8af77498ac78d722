"""Test images with what was found in them, as the report draws them: one file of a run's folder."""
from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.dataset import Split
from ..stats.test_results import Shown
from .folder import write_json

PICTURES = "pictures.json"
LARGEST = 480       # the longer side in pixels; larger images are scaled down
PLAIN = 160         # up to which images are kept to the pixel


def write(folder: Path, shown: Sequence[Shown], test: Split) -> None:
    """Write images of test with what was found in them; without any, what an earlier confirmation wrote goes.

    Raises:
        DiskError: When the disk is full or fails.
    """
    if not shown:
        (folder / PICTURES).unlink(missing_ok=True)
        return
    rows = test.take(torch.tensor([one.row for one in shown])).images
    pixels = torch.cat([*rows.split(len(shown))]).cpu()
    write_json(folder / PICTURES, {"images": [
        {**asdict(one), "width": image.shape[2], "height": image.shape[1], "data": address(image)}
        for one, image in zip(shown, pixels, strict=True)]})


def address(pixels: Tensor) -> str:
    """Return an image, [D, H, W] of uint8, as a `data:` address: gray of one channel, color of three, else its first.

    Small ones are as they are, in PNG; others are at most 480 pixels wide and high, in JPEG.
    """
    from PIL import Image

    image = Image.fromarray((pixels if len(pixels) == 3 else pixels[:1].expand(3, -1, -1)).permute(1, 2, 0).numpy())
    kind: dict[str, Any] = {"format": "png", "optimize": True}
    if max(image.size) > PLAIN:
        image.thumbnail((LARGEST, LARGEST))
        kind = {"format": "jpeg", "quality": 88}
    content = io.BytesIO()
    (image if len(pixels) == 3 else image.convert("L")).save(content, **kind)
    return f"data:image/{kind['format']};base64,{base64.b64encode(content.getvalue()).decode()}"
