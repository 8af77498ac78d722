"""What a detector is worth: average precision as COCO has it."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Metric
from .average_precision import SIZES, Area, Found, Truths, curves
from .decode import found

METRICS = (
    Metric("average_precision", "average precision", percent=True,
           about="the mean over classes and overlaps of .5 to .95, as COCO has it"),
    Metric("average_precision_50", "average precision at .5", percent=True,
           about="where an overlap of one half is enough"),
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
        self._truths = Truths.of(targets)
        self._found: list[Tensor] = []
        self._sizes = {f"average_precision_{size}": area for size, area in SIZES.items() if self._truths.has(area)}
        self.names = (*(metric.name for metric in METRICS[:4]), *self._sizes)

    def update(self, output: Output, targets: Targets) -> None:
        """Take in what a model says of some images, [B, A, C + 8]; what is true is known, in its order."""
        self._found.append(found(output))

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a size of which the split has no object has none."""
        detected = Found.of(torch.cat(self._found))
        whole = curves(self._truths, detected, self._classes)
        average = whole.average
        values = {"average_precision": np.nanmean(average), "average_precision_50": np.nanmean(average[:, 0]),
                  "average_precision_75": np.nanmean(average[:, 5]), "average_recall": np.nanmean(whole.recall)}
        values |= {name: self._of_size(area, detected) for name, area in self._sizes.items()}
        return {name: torch.tensor(float(value), device=self._device) for name, value in values.items()}

    def _of_size(self, area: Area, detected: Found) -> np.floating[Any]:
        return np.nanmean(curves(self._truths, detected, self._classes, area).average)
