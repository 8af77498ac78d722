"""What a trained bundle does on test: its figures, class by class, and how far its confidence is to be believed."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.dataset import Dataset, Split
from ...core.images import CHUNK
from ...core.slots import Predict
from ...stats.spread import SeedStatistics
from .figures import calibration_error

COARSEST = -3.0
FINEST = 3.0
HALVINGS = 40     # natural logarithms of temperatures
LARGEST = 200                                  # classes; with more, a confusion matrix is too large to keep


@dataclass(frozen=True)
class TestResult:
    """What one trained model does on test.

    Args:
        metrics: By name.
        confusion: [C, C], images of each class (row) taken for each class (column).
        temperature: That fits the confidence best on validation.
        calibrated: Calibration error on test with that temperature.
    """

    metrics: dict[str, float]
    confusion: Tensor
    temperature: float
    calibrated: float


@dataclass(frozen=True)
class ClassResults:
    """What a bundle does class by class, over seeds.

    Args:
        recall: Of each class; None where test has no image of it.
        confusion: Counts summed over seeds, true class by predicted class; None with more than 200 classes.
        temperature: Mean of the temperatures fitted on validation.
        calibration_error: Mean on test as it is.
        calibrated_error: Mean on test with the temperatures.
    """

    recall: tuple[SeedStatistics | None, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    temperature: float
    calibration_error: float
    calibrated_error: float

    @classmethod
    def of(cls, rows: Sequence[TestResult]) -> ClassResults:
        """Return the results of one bundle's trainings."""
        counts = torch.stack([row.confusion for row in rows]).double()
        recalls = (counts.diagonal(dim1=1, dim2=2) / counts.sum(2)).T.tolist()
        return cls(tuple(None if math.isnan(values[0]) else SeedStatistics.of(values) for values in recalls),
                   tuple(map(tuple, counts.sum(0).long().tolist())) if counts.shape[1] <= LARGEST else None,
                   fmean(row.temperature for row in rows), fmean(row.metrics["calibration_error"] for row in rows),
                   fmean(row.calibrated for row in rows))


def logits_on(predict: Predict, split: Split) -> Tensor:
    """Return logits, [N, C], on a split; `predict` maps images in [0, 1] to them."""
    with torch.inference_mode():
        return torch.cat([predict(part.float() / 255) for part in split.images.split(CHUNK)]).float()


def measured(predict: Predict, split: Split, dataset: Dataset) -> dict[str, float]:
    """Return every figure of a model on a split, by name; `predict` maps images in [0, 1] to logits."""
    return _metrics(logits_on(predict, split), split, dataset)


def tested(predict: Predict, dataset: Dataset) -> TestResult:
    """Return what a model does on test; the temperature is fitted on validation."""
    assert dataset.test is not None, "confirmation needs the test split"
    logits = logits_on(predict, dataset.test)
    labels = dataset.test.targets.single
    classes = len(dataset.classes)
    heat = temperature(logits_on(predict, dataset.validation), dataset.validation.targets.single)
    confidence, predicted = (logits / heat).softmax(1).max(1)
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    return TestResult(_metrics(logits, dataset.test, dataset), counts, heat,
                      float(calibration_error(confidence, (predicted == labels).float())))


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that divides the logits so that their cross-entropy is least, by bisection.

    The cross-entropy is convex in the inverse temperature, so its slope changes sign once.

    Paper: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.

    Shapes:
        logits: [N, C].
        labels: [N], int64.
    """
    logits = logits.double()
    low = COARSEST
    high = FINEST
    right = F.one_hot(labels, logits.shape[1]).double()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = (((logits / math.exp(middle)).softmax(1) - right) * logits).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp((low + high) / 2)


def _metrics(logits: Tensor, split: Split, dataset: Dataset) -> dict[str, float]:
    meter = dataset.task.meter(dataset.counts.float(), split.targets, whole=True)
    with torch.inference_mode():
        meter.update(logits, split.targets)
        return {name: float(value) for name, value in meter.compute().items()}
