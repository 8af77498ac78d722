"""Detection: objects of some classes are to be found, each with a box."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...core.dense import Dense
from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import UNFITTED, Answer, Back, Decoded, Fitted, Measured, Metric, Move, Object
from ...core.traits import DataTrait
from ...errors import DataError
from ...models.dense import build_detector
from ...stats.test_results import TestResult
from ..asked import Asked, of_single_classes
from .decode import OBJECTS, apart, found
from .matching import Found, Truths
from .metrics import AVERAGE_PRECISION, METRICS, DetectionMeter
from .testing import tested, thresholds

THRESHOLDS = "thresholds"
EDGES = ("left", "top", "right", "bottom")
PLACES = 3      # of a pixel after the point that are told
BLIND = 1e3     # far above what focal loss, overlap and centerness come to at first, some 2 in all


@dataclass(frozen=True)
class Detection:
    """Objects with boxes; the model says of each place what is there. See `autotricks.core.task.Task`.

    Args:
        asked: Classes whose average precision an objective asks for: name of the metric and number of the class.
    """

    asked: Asked = ()

    name: ClassVar[str] = "detection"
    brings: ClassVar[frozenset[DataTrait]] = frozenset({DataTrait.BOXES})
    defaults: ClassVar[tuple[str, ...]] = (
        "sgd", "constant", "instance", "dense_focal", "giou", "center_sampling", "hard_suppression")
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    objective: ClassVar[str] = "average_precision"
    train_metrics: ClassVar[tuple[str, ...]] = ("average_precision",)
    makes: ClassVar[str] = "A detector"
    gives: ClassVar[str] = ("objects, of which an image may have any number or none, each with its class, its edges in "
                            "pixels and how probable it is, from the threshold of its class on")
    strangers: ClassVar[str] = "may be taken for objects of one of them"
    decoded: ClassVar[Decoded] = OBJECTS
    counted: ClassVar[str] = "objects"
    fits: ClassVar[tuple[str, ...]] = (THRESHOLDS,)

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a detector with fresh weights; see `autotricks.models.dense`."""
        return build_detector(name, classes, image_shape[0], trust)

    def judged_by(self, asked: Mapping[str, str], costs: Any, classes: Sequence[str]) -> Detection:
        """Return the task with a meter of single classes that an objective asks for too; see `core.task.Task`."""
        if costs is not None:
            raise DataError("objective.costs: says what it costs to take a class for another; objects have none.")
        single, unknown = of_single_classes(AVERAGE_PRECISION, asked, classes)
        if unknown:
            raise DataError(unknown)
        return Detection(single)

    def meter(self, counts: Tensor, targets: Targets, whole: bool = False) -> DetectionMeter:
        """Return an empty meter; see `autotricks.core.task.Task`."""
        return DetectionMeter(counts, targets, dict(self.asked))

    def blind_loss(self, classes: int) -> float:
        """Return what no loss of boxes that still learns comes near."""
        return BLIND

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return figures, average precision by class and size, confusion and kinds of error; see `testing.tested`."""
        return tested(validation, test, self.meter(counts, test.targets, whole=True), len(counts))

    def decode(self, output: Output) -> Tensor:
        """Return up to 100 objects of each image; see `decode.found`."""
        return found(output)

    def blank(self, classes: int) -> Tensor:
        """Return an image with an object of the first class, [1, 1, 6]."""
        return torch.tensor([[[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]]])

    def placed(self, decoded: Tensor, moves: Sequence[Move]) -> Tensor:
        """Return the objects, [B, R, 6], with their edges moved."""
        edges = [torch.from_numpy(move(boxes)) for boxes, move in zip(decoded[..., :4].numpy(), moves, strict=True)]
        return torch.cat([torch.stack(edges).to(decoded.dtype), decoded[..., 4:]], 2) if edges else decoded

    def encode(self, answer: Tensor) -> Output:
        """Refuse: of an object only the most probable class is told, and outputs have a figure for each."""
        raise TypeError("what was found in an image has no output that it comes from")

    def merged(self, outputs: Sequence[Output], backs: Sequence[Back]) -> Output:
        """Return the places of all views, with boxes where they are in the images; what lies twice is suppressed."""
        found = [Dense.of(output).moved(*back) for output, back in zip(outputs, backs, strict=True)]
        return torch.cat([view.output() for view in found], 1)

    def apart(self, decoded: Tensor, other: Tensor) -> float:
        """Return the largest difference of objects; see `decode.apart`."""
        return apart(decoded, other)

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return the probability of each class from which on an object of it is told; see `testing.thresholds`."""
        seen = Found.of(found(validation.output))
        return {THRESHOLDS: thresholds(Truths.of(validation.targets), seen, classes).tolist()}

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1,
                fitted: Fitted = UNFITTED) -> list[Answer]:
        """Return `objects`, the likeliest first, and class and probability of that one; None where there is none.

        Objects are told that are as probable as the threshold of their class; all where none was fitted.

        Shapes:
            decoded: [B, 100, 6].
        """
        limits = fitted.get(THRESHOLDS, [0.0] * len(classes))
        rows: list[Answer] = []
        for image in decoded.double().tolist():
            objects = [_object(classes[int(label)], score, box) for *box, score, label in image
                       if score > 0 and score >= limits[int(label)]]
            first = objects[0] if objects else {"class": None, "probability": None}
            rows.append({"objects": objects, "class": first["class"], "probability": first["probability"]})
        return rows


def _object(name: str, probability: float, box: Sequence[float]) -> Object:
    edges = zip(EDGES, (round(edge, PLACES) for edge in box), strict=True)
    return {"class": name, "probability": probability, **dict(edges)}


DETECTION = Detection()
