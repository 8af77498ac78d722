"""Multilabel: each image has any number of labels."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import NOTHING, Answer, Fitted, Measured
from ...core.traits import DataTrait
from ...models import build
from ...stats.test_results import TestResult
from ..answers import rankings
from .metrics import HALF, METRICS, MultilabelMeter, truth_of
from .testing import tested, thresholds

THRESHOLDS = "thresholds"
SEPARATOR = "|"


@dataclass(frozen=True)
class Multilabel:
    """Any number of labels an image; the model says a logit for each class. See `autotricks.core.task.Task`."""

    name: ClassVar[str] = "multilabel"
    brings: ClassVar[frozenset[DataTrait]] = frozenset()
    defaults: ClassVar[tuple[str, ...]] = ("sgd", "constant", "instance", "binary_cross_entropy")
    metrics: ClassVar[tuple[str, ...]] = METRICS
    train_metrics: ClassVar[tuple[str, ...]] = ("mean_average_precision",)
    fits: ClassVar[tuple[str, ...]] = (THRESHOLDS,)

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a classifier with fresh weights; see `autotricks.models.build`."""
        channels, height, width = image_shape
        return build(name, classes, channels, trust, (height, width))

    def meter(self, counts: Tensor, targets: Targets) -> MultilabelMeter:
        """Return an empty meter of average precision, F1, exact matches and log loss."""
        return MultilabelMeter(counts, targets)

    def blind_loss(self, classes: int) -> float:
        """Return C log 2: the binary cross-entropy of guessing, summed over the classes as some losses do."""
        return max(2, classes) * math.log(2)

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return figures, average precision and F1 by class, and thresholds; see `testing.tested`."""
        return tested(validation, test, counts)

    def decode(self, output: Output) -> Tensor:
        """Return the probability of each class, [B, C], each by itself."""
        return output.sigmoid()

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return the probability of each class from which on it is named; see `testing.thresholds`."""
        probabilities = self.decode(validation.output)
        return {THRESHOLDS: thresholds(probabilities, truth_of(validation.targets, classes)).tolist()}

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1, fitted: Fitted = NOTHING) -> list[Answer]:
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
