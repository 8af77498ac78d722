"""What a detector is worth: average precision as COCO has it."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Metric
from .average_precision import EVERY, SIZES, Objects, precisions
from .decode import found

METRICS = (
    Metric("average_precision", "average precision", percent=True, about="the mean over classes and overlaps of .5 to "
           ".95, as COCO has it"),
    Metric("average_precision_50", "average precision at .5", percent=True, about="where an overlap of one half is enough"),
    Metric("average_precision_75", "average precision at .75", percent=True),
    Metric("average_recall", "average recall", percent=True, about="with up to 100 objects an image"),
    *(Metric(f"average_precision_{size}", f"average precision, {size}", percent=True, about=about) for size, about in (
        ("small", "objects below 32 x 32 pixels"), ("medium", "objects of 32 x 32 to 96 x 96 pixels"),
        ("large", "objects above 96 x 96 pixels"))))


class DetectionMeter:
    """Gathers what was found, and measures it all at once on the CPU.

    Args:
        counts: Training objects of each class, [C].
        targets: Of the split that is measured.
    """

    def __init__(self, counts: Tensor, targets: Targets):
        self._classes = len(counts)
        self._device = counts.device
        self._truths = truths(targets)
        self._found: list[Tensor] = []
        sizes = [size for size, area in SIZES.items() if _any(self._truths, area)]
        self._sizes = {f"average_precision_{size}": SIZES[size] for size in sizes}
        self.names = (*(metric.name for metric in METRICS[:4]), *self._sizes)

    def update(self, output: Output, targets: Targets) -> None:
        """Take in what a model says of some images, [B, A, C + 8]; what is true is known, in its order."""
        self._found.append(found(output))

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a size of which the split has no object has none."""
        detected = objects(torch.cat(self._found))
        precision, recall = precisions(self._truths, detected, self._classes)
        values = {"average_precision": np.nanmean(precision), "average_precision_50": np.nanmean(precision[:, 0]),
                  "average_precision_75": np.nanmean(precision[:, 5]), "average_recall": np.nanmean(recall)}
        values |= {name: np.nanmean(precisions(self._truths, detected, self._classes, area)[0])
                   for name, area in self._sizes.items()}
        return {name: torch.tensor(float(value), device=self._device) for name, value in values.items()}


def truths(targets: Targets) -> list[Objects]:
    """Return what is in each image; a box with a share of 0 is ignored, one without an area is padding."""
    assert targets.boxes is not None, "objects have boxes"
    result = []
    for labels, shares, boxes in zip(targets.labels.cpu().numpy(), targets.shares.cpu().numpy(),
                                     targets.boxes.double().cpu().numpy(), strict=True):
        there = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        result.append(Objects(boxes[there], labels[there], shares[there], shares[there] == 0))
    return result


def objects(detected: Tensor) -> list[Objects]:
    """Return what was found in each image, from [N, 100, 6]; see `decode.found`."""
    result = []
    for rows in detected.double().cpu().numpy():
        rows = rows[rows[:, 4] > 0]
        result.append(Objects(rows[:, :4], rows[:, 5].astype(np.int64), rows[:, 4], np.zeros(len(rows), bool)))
    return result


def _any(images: list[Objects], area: tuple[float, float] = EVERY) -> bool:
    """Return whether an object that counts has such an area."""
    for image in images:
        sides = image.boxes[:, 2:] - image.boxes[:, :2]
        size = sides.prod(1)
        if ((size >= area[0]) & (size <= area[1]) & ~image.ignored).any():
            return True
    return False
