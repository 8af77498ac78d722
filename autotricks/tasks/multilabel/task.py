"""Multilabel: each image has any number of labels."""
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
from .metrics import METRICS, MultilabelMeter
from .testing import tested


@dataclass(frozen=True)
class Multilabel:
    """Any number of labels an image; the model says a logit for each class. See `autotricks.core.task.Task`."""

    name: ClassVar[str] = "multilabel"
    brings: ClassVar[frozenset[DataTrait]] = frozenset()
    defaults: ClassVar[tuple[str, ...]] = ("sgd", "constant", "instance", "binary_cross_entropy")
    metrics: ClassVar[tuple[str, ...]] = METRICS
    train_metrics: ClassVar[tuple[str, ...]] = ("mean_average_precision",)

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

    def encode(self, answer: Tensor) -> Output:
        """Return the logits of probabilities, [B, C]; of 0 and 1 those of the nearest numbers that have one."""
        return answer.logit(torch.finfo(answer.dtype).eps)


MULTILABEL = Multilabel()
