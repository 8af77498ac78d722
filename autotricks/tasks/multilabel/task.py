"""Multilabel: each image has any number of labels."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import PROBABILITIES, UNFITTED, Answer, Back, Decoded, Fitted, Measured, Metric, Move
from ...core.traits import DataTrait
from ...errors import DataError
from ...models import build
from ...stats.test_results import TestResult
from ..answers import rankings
from ..asked import Asked, of_single_classes
from .metrics import AVERAGE_PRECISION, HALF, METRICS, ON_TEST, MultilabelMeter, truth_of
from .testing import tested, thresholds

THRESHOLDS = "thresholds"
SEPARATOR = "|"


@dataclass(frozen=True)
class Multilabel:
    """Any number of labels an image; the model says a logit for each class. See `autotricks.core.task.Task`.

    Args:
        asked: Classes whose average precision an objective asks for: name of the metric and number of the class.
    """

    asked: Asked = ()

    name: ClassVar[str] = "multilabel"
    brings: ClassVar[frozenset[DataTrait]] = frozenset()
    defaults: ClassVar[tuple[str, ...]] = ("sgd", "constant", "instance", "binary_cross_entropy")
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    objective: ClassVar[str] = "mean_average_precision"
    train_metrics: ClassVar[tuple[str, ...]] = ("mean_average_precision",)
    makes: ClassVar[str] = "An image classifier"
    gives: ClassVar[str] = "the labels, of which an image may have any number or none, and the probability of each"
    strangers: ClassVar[str] = "nothing was measured of what the model then names"
    counted: ClassVar[str] = "images"
    fits: ClassVar[tuple[str, ...]] = (THRESHOLDS,)
    decoded: ClassVar[Decoded] = PROBABILITIES

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a classifier with fresh weights; see `autotricks.models.build`."""
        channels, height, width = image_shape
        return build(name, classes, channels, trust, (height, width))

    def judged_by(self, asked: Mapping[str, str], costs: Any, classes: Sequence[str]) -> Multilabel:
        """Return the task with a meter of single classes that an objective asks for; see `autotricks.core.task.Task`.

        What mistakes cost is asked of tasks with one label alone.
        """
        single, unknown = of_single_classes(AVERAGE_PRECISION, asked, classes)
        late = [f"{key}: {name} is measured on test alone." for key, name in asked.items() if name in ON_TEST]
        if unknown or late:
            raise DataError([*unknown, *late])
        return Multilabel(single)

    def meter(self, counts: Tensor, targets: Targets, whole: bool = False) -> MultilabelMeter:
        """Return an empty meter; see `autotricks.core.task.Task`."""
        return MultilabelMeter(counts, targets, dict(self.asked))

    def blind_loss(self, classes: int) -> float:
        """Return C log 2: the binary cross-entropy of guessing, summed over the classes as some losses do."""
        return max(2, classes) * math.log(2)

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return figures, average precision and F1 by class, and thresholds; see `testing.tested`."""
        return tested(validation, test, self.meter(counts, test.targets, whole=True))

    def decode(self, output: Output) -> Tensor:
        """Return the probability of each class, [B, C], each by itself."""
        return output.sigmoid()

    def blank(self, classes: int) -> Tensor:
        """Return probabilities of 0, [1, C]."""
        return torch.zeros(1, classes)

    def placed(self, decoded: Tensor, moves: Sequence[Move]) -> Tensor:
        """Return the same: a class of an image has no place in it."""
        return decoded

    def encode(self, answer: Tensor) -> Output:
        """Return the logits of probabilities, [B, C]; of 0 and 1 those of the nearest numbers that have one."""
        return answer.logit(torch.finfo(answer.dtype).eps)

    def merged(self, outputs: Sequence[Output], backs: Sequence[Back]) -> Output:
        """Return the mean of what is said of each view, wherever it lies in the image."""
        return torch.stack([*outputs]).mean(0) if len(outputs) > 1 else outputs[0]

    def apart(self, decoded: Tensor, other: Tensor) -> float:
        """Return the largest difference of a probability."""
        return float((decoded - other).abs().max())

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return the probability of each class from which on it is named; see `testing.thresholds`."""
        probabilities = self.decode(validation.output)
        return {THRESHOLDS: thresholds(probabilities, truth_of(validation.targets, classes)).tolist()}

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1,
                fitted: Fitted = UNFITTED) -> list[Answer]:
        """Return `labels`, those that reach their thresholds, joined by |, then the most probable with probabilities.

        A class without a threshold that was fitted is named from one half on.

        Shapes:
            decoded: [B, C], probabilities.
        """
        limits = torch.tensor(fitted.get(THRESHOLDS, [HALF] * len(classes)), dtype=torch.float64)
        named = [SEPARATOR.join(classes[label] for label in row.nonzero().flatten().tolist())
                 for row in decoded >= limits]
        return [{"labels": labels, **ranking} for labels, ranking in zip(
            named, rankings(decoded, classes, topk), strict=True)]


MULTILABEL = Multilabel()
