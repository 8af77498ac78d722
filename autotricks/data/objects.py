"""Objects: how large, how wide and how crowded the boxes of a source are, as a model sees them."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.anchors import anchors
from ..functional.boxes import area, intersection
from .fitting import Size, fitted

TINY = 8                # pixels a side, of the square of a box's area, below which hardly anything is left to see
SMALL = 32              # and the sides by which COCO parts small, medium and large
LARGE = 96
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
HALF = 0.5              # of a box that another covers, from which on it is hidden
ANCHORS = 5             # of Redmon and Farhadi 2017, https://arxiv.org/abs/1612.08242
MOST = 20_000           # boxes by which anchors are found, evenly spaced: a second
STRIDE = 32             # of the coarsest maps that most detectors have: sides that are offered are multiples of it
LEAST = 96
LARGEST = 256           # side that is offered where nobody knows the machine
FEW = 0.05              # share of boxes that may be tiny, and from which on it is told that they are


@dataclass(frozen=True, eq=False)
class Objects:
    """Those of one image.

    Args:
        boxes: Left, top, right and bottom in pixels of the image.
        ignored: Of each, whether finding it is neither right nor wrong.

    Shapes:
        boxes: [K, 4].
    """

    boxes: Tensor
    ignored: tuple[bool, ...] = ()

    def brought(self, image: tuple[int, int], size: Size | None, fit: str) -> Objects:
        """Return them as they lie in an image, of this width and height, that is brought to a size; see `data.fit`."""
        if size is None:
            return self
        moved = fitted(image, size, fit).moved(self.boxes.double().numpy())
        return Objects(torch.from_numpy(moved).float(), self.ignored)

    @property
    def counted(self) -> Tensor:
        """The boxes that are not ignored."""
        return self.boxes[[not flag for flag in self.ignored]] if any(self.ignored) else self.boxes


def about(images: Mapping[str, Sequence[Objects]]) -> dict[str, Any]:
    """Say what the objects of a data set are like.

    Args:
        images: By split, the objects of each image as a model sees them.

    Returns:
        JSON-able facts, all but `ignored` without objects that are to be ignored: count; ignored; sizes (by split, how
        many are `tiny`, `small`, `medium` and `large`; tiny ones are small too); sides (quantiles of the square root of
        the area, in pixels); shapes (quantiles of width / height); crowd (quantiles of objects an image); empty (by
        split, images without one); hidden (share of boxes of which another covers more than one half); vanished (boxes
        that lie outside of what the model sees); anchors (`sizes`, width and height of each in pixels, and `overlap`,
        the mean IoU of a box with the nearest).
    """
    every = [objects for split in images.values() for objects in split]
    boxes = torch.cat([objects.counted for objects in every]) if every else torch.zeros(0, 4)
    seen = boxes[area(boxes) > 0]
    width, height = (seen[:, 2:] - seen[:, :2]).unbind(1)
    return {"count": len(boxes), "ignored": sum(sum(objects.ignored) for objects in every),
            "sizes": {split: _sizes(torch.cat([each.counted for each in found])) for split, found in images.items()},
            "sides": quantiles((width * height).sqrt()), "shapes": quantiles(width / height),
            "crowd": quantiles(torch.tensor([len(each.counted) for each in every])),
            "empty": {split: sum(not len(each.counted) for each in found) for split, found in images.items()},
            "hidden": sum(_hidden(each.counted) for each in every) / max(1, len(seen)),
            "vanished": len(boxes) - len(seen), "anchors": _anchors(torch.stack([width, height], 1))}


def smallest(images: Sequence[tuple[tuple[int, int], Objects]]) -> float:
    """Return what 95 % of the boxes are larger than: the side of the square of their area by their image's longer side.

    Args:
        images: Width and height, and the objects of each in its own pixels.
    """
    shares = [area(found.counted).sqrt() / max(size) for size, found in images]
    every = torch.cat([torch.zeros(0), *shares])
    return float(every.double().quantile(FEW)) if len(every) else 0.0


def side(share: float, longer: int, most: int, clear: int = TINY) -> int:
    """Return the side to which images are brought, so that 95 % of the boxes have a side of `clear` pixels there.

    Args:
        share: From `smallest`.
        longer: Side of the images.
        most: Pixels.
        clear: Pixels.
    """
    wanted = max(LEAST, clear / share) if share else most
    return STRIDE * min(math.ceil(wanted / STRIDE), max(1, round(min(longer, most) / STRIDE)))


def notices(facts: Mapping[str, Any], fit: str) -> list[str]:
    """Return what is worth knowing of objects, a line each; `facts` are from `about`."""
    count = facts["count"]
    tiny = sum(sizes["tiny"] for sizes in facts["sizes"].values())
    lines = []
    if tiny > FEW * count:
        lines.append(f"{tiny:,} of {count:,} objects have less than {TINY} x {TINY} pixels as the model sees them, "
                     "which shows hardly anything of them; a larger data.size shows more")
    if facts["vanished"]:
        lines.append(f"{facts['vanished']:,} of {count:,} objects lie outside of what data.fit: {fit} leaves of their "
                     "images; pad and squash keep all")
    return lines


def quantiles(values: Tensor) -> list[float]:
    """Return what 0, 5, 25, 50, 75, 95 and 100 % of the values do not exceed; nothing of no values."""
    if not len(values):
        return []
    found: list[float] = np.quantile(values.double().numpy(), QUANTILES).tolist()
    return found


def _sizes(boxes: Tensor) -> dict[str, int]:
    sides = area(boxes[area(boxes) > 0]).sqrt()
    return {"tiny": int((sides < TINY).sum()), "small": int((sides < SMALL).sum()),
            "medium": int(((sides >= SMALL) & (sides <= LARGE)).sum()), "large": int((sides > LARGE).sum())}


def _hidden(boxes: Tensor) -> int:
    """Return how many boxes of an image have more than a half of them in another."""
    boxes = boxes[area(boxes) > 0]
    shares = intersection(boxes[:, None], boxes[None]) / area(boxes)[:, None]
    return int((shares.fill_diagonal_(0) > HALF).any(1).sum())


def _anchors(sizes: Tensor) -> dict[str, Any]:
    chosen = sizes[:: -(-len(sizes) // MOST)] if len(sizes) else sizes
    if not len(chosen):
        return {"sizes": [], "overlap": None}
    found, overlap = anchors(chosen, ANCHORS)
    return {"sizes": found.tolist(), "overlap": overlap}
