"""Detection: objects of some classes are to be found, each with a box."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import UNFITTED, Answer, Fitted, Measured, Metric
from ...core.traits import DataTrait
from ...errors import DataError
from ...models.dense import build_detector
from ...stats.test_results import TestResult
from .average_precision import Found, Truths, curves
from .decode import found
from .metrics import METRICS, DetectionMeter

BLIND = 1e3     # far above what focal loss, overlap and centerness come to at first, some 2 in all


@dataclass(frozen=True)
class Detection:
    """Objects with boxes; the model says of each place what is there. See `autotricks.core.task.Task`."""

    name: ClassVar[str] = "detection"
    brings: ClassVar[frozenset[DataTrait]] = frozenset({DataTrait.BOXES})
    defaults: ClassVar[tuple[str, ...]] = (
        "sgd", "constant", "instance", "dense_focal", "giou", "center_sampling", "hard_suppression")
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    objective: ClassVar[str] = "average_precision"
    train_metrics: ClassVar[tuple[str, ...]] = ("average_precision",)
    gives: ClassVar[str] = ("objects, of which an image may have any number or none, each with its class, its edges in "
                            "pixels and how probable it is")
    strangers: ClassVar[str] = "may be taken for objects of one of them"
    fits: ClassVar[tuple[str, ...]] = ()

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a detector with fresh weights; see `autotricks.models.dense`."""
        return build_detector(name, classes, image_shape[0])

    def judged_by(self, asked: Mapping[str, str], costs: Any, classes: Sequence[str]) -> Detection:
        """Return the task: every figure is measured anyhow."""
        if costs is not None:
            raise DataError("objective.costs: says what it costs to take a class for another; objects have none.")
        return self

    def meter(self, counts: Tensor, targets: Targets, whole: bool = False) -> DetectionMeter:
        """Return an empty meter; see `autotricks.core.task.Task`."""
        return DetectionMeter(counts, targets)

    def blind_loss(self, classes: int) -> float:
        """Return what no loss of boxes that still learns comes near."""
        return BLIND

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return every figure on test, and average precision and recall of each class."""
        meter = self.meter(counts, test.targets, whole=True)
        meter.update(test.output, test.targets)
        measured = curves(Truths.of(test.targets), Found.of(found(test.output)), len(counts))
        by_class = {"average_precision": measured.average.mean(1).tolist(),
                    "average_recall": measured.recall.mean(1).tolist()}
        return TestResult({name: float(value) for name, value in meter.compute().items()}, by_class)

    def decode(self, output: Output) -> Tensor:
        """Return up to 100 objects of each image; see `decode.found`."""
        return found(output)

    def encode(self, answer: Tensor) -> Output:
        """Refuse: of an object only the most probable class is told, and outputs have a figure for each."""
        raise TypeError("what was found in an image has no output that it comes from")

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return nothing: what is found has a probability, and whoever asks says how much is enough."""
        return UNFITTED

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1,
                fitted: Fitted = UNFITTED) -> list[Answer]:
        """Return `objects`, each as class, probability and edges, and the likeliest with a column for its own.

        Shapes:
            decoded: [B, 100, 6].
        """
        rows: list[Answer] = []
        for image in decoded.double().numpy():
            seen = image[image[:, 4] > 0]
            words = [f"{classes[int(label)]} {score:.3f} {' '.join(f'{edge:.1f}' for edge in box)}"
                     for *box, score, label in seen]
            best: tuple[str, float] = (classes[int(seen[0, 5])], float(seen[0, 4])) if len(seen) else ("", np.nan)
            rows.append({"objects": "; ".join(words), "class": best[0], "probability": best[1]})
        return rows


DETECTION = Detection()
