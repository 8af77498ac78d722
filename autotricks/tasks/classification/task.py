"""Classification: each image is of one class."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Measured
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

    def encode(self, answer: Tensor) -> Output:
        """Return the logarithms of probabilities, [B, C], which are logits of them; of 0 that of the least number."""
        return answer.clamp(min=torch.finfo(answer.dtype).tiny).log()


CLASSIFICATION = Classification()
