"""What a detector is worth: average precision as COCO has it."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Metric
from .average_precision import SIZES, Comparison, known_mean
from .decode import found
from .matching import Found, Truths

AVERAGE_PRECISION = Metric("average_precision[CLASS]", "average precision of {}", percent=True, asked=True,
                           pattern=r"average_precision\[(.+)\]")
WHOLE = (
    Metric("average_precision", "average precision", percent=True,
           about="the mean over classes and overlaps of .5 to .95, as COCO has it"),
    Metric("average_precision_50", "average precision at .5", percent=True,
           about="where an overlap of one half is enough"),
    Metric("average_precision_75", "average precision at .75", percent=True),
    Metric("average_recall", "average recall", percent=True, about="with up to 100 objects an image"))
BY_SIZE = tuple(Metric(f"average_precision_{size}", f"average precision, {size}", percent=True, about=about)
                for size, about in (("small", "objects up to 32 x 32 pixels"),
                                    ("medium", "objects of 32 x 32 to 96 x 96 pixels"),
                                    ("large", "objects from 96 x 96 pixels")))
METRICS = (*WHOLE, *BY_SIZE, AVERAGE_PRECISION)


class DetectionMeter:
    """Gathers what was found, and measures it all at once on the CPU.

    Args:
        counts: Training objects of each class, [C].
        targets: Of the split that is measured.
        asked: Classes whose average precision is measured, by name, with their numbers.
    """

    def __init__(self, counts: Tensor, targets: Targets, asked: Mapping[str, int] = MappingProxyType({})):
        self._classes = len(counts)
        self._device = counts.device
        self._truths = Truths.of(targets)
        self._found: list[Tensor] = []
        there = self._truths.counts(self._classes)
        self._asked = {name: label for name, label in asked.items() if there[label]}
        self._sizes = {f"average_precision_{size}": area for size, area in SIZES.items() if self._truths.has(area)}
        self.names = (*(metric.name for metric in WHOLE), *self._sizes, *self._asked)

    def update(self, output: Output, targets: Targets) -> None:
        """Take in what a model says of some images, [B, A, C + 8]; what is true is known, in its order."""
        self._found.append(found(output))

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a size or a class of which the split has no object has none."""
        seen = Comparison(self._truths, Found.of(torch.cat(self._found)), self._classes)
        whole = seen.curves()
        average = whole.average
        every = average, average[:, 0], average[:, 5], whole.recall
        values = {metric.name: known_mean(figures) for metric, figures in zip(WHOLE, every, strict=True)}
        values |= {name: known_mean(seen.curves(area).average) for name, area in self._sizes.items()}
        values |= {name: float(average[label].mean()) for name, label in self._asked.items()}
        return {name: torch.tensor(value, device=self._device) for name, value in values.items()}
