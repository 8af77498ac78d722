"""Classification: each image is of one class."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Answer, Measured
from ...core.traits import DataTrait
from ...models import build
from ...stats.test_results import TestResult
from .metrics import METRICS, ClassificationMeter
from .testing import tested


@dataclass(frozen=True)
class Classification:
    """One class an image; the model says a logit for each class. See `autotricks.core.task.Task`."""

    name: ClassVar[str] = "classification"
    brings: ClassVar[frozenset[DataTrait]] = frozenset({DataTrait.ONE_LABEL})
    defaults: ClassVar[tuple[str, ...]] = ("sgd", "constant", "instance", "cross_entropy")
    metrics: ClassVar[tuple[str, ...]] = METRICS
    train_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a classifier with fresh weights; see `autotricks.models.build`."""
        channels, height, width = image_shape
        return build(name, classes, channels, trust, (height, width))

    def meter(self, counts: Tensor, targets: Targets) -> ClassificationMeter:
        """Return an empty meter of accuracies, loss and calibration."""
        return ClassificationMeter(counts, targets)

    def blind_loss(self, classes: int) -> float:
        """Return log C, of two classes at least: the cross-entropy of guessing."""
        return math.log(max(2, classes))

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return figures, recall by class, confusion and calibration on test; see `testing.tested`."""
        return tested(validation, test, counts)

    def decode(self, output: Output) -> Tensor:
        """Return the probability of each class, [B, C]."""
        return output.softmax(1)

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1) -> list[Answer]:
        """Return `class`, `probability`, `class_2`, `probability_2` and so on of each image, the most probable first.

        Of classes that are as probable, the first is the first of the data.

        Shapes:
            decoded: [B, C], probabilities.
        """
        ranked = decoded.sort(dim=1, descending=True, stable=True)
        return [_ranking([classes[label] for label in labels], probabilities) for labels, probabilities in zip(
            ranked.indices[:, :topk].tolist(), ranked.values[:, :topk].tolist(), strict=True)]


def _ranking(names: Sequence[str], probabilities: Sequence[float]) -> Answer:
    row: Answer = {}
    for place, (name, probability) in enumerate(zip(names, probabilities, strict=True), start=1):
        suffix = f"_{place}" if place > 1 else ""
        row |= {f"class{suffix}": name, f"probability{suffix}": probability}
    return row


CLASSIFICATION = Classification()
