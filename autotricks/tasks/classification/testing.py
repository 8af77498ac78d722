"""What a trained classifier does on test, class by class, and how far its confidence is to be believed."""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.task import Measured, Meter
from ...stats.test_results import Calibration, TestResult
from .figures import calibration_error

COARSEST = -3.0
FINEST = 3.0
HALVINGS = 40     # natural logarithms of temperatures
LARGEST = 200                                  # classes; with more, a confusion matrix is too large to keep


def tested(validation: Measured, test: Measured, meter: Meter) -> TestResult:
    """Return what a classifier does on test; the temperature is fitted on validation.

    Args:
        validation: Logits, [N, C], and targets.
        test: Likewise.
        meter: Of test, empty.
    """
    labels = test.targets.single
    logits = test.output.float()
    classes = logits.shape[1]
    heat = temperature(validation.output.float(), validation.targets.single)
    confidence, predicted = (logits / heat).softmax(1).max(1)
    confusion = torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    meter.update(logits, test.targets)
    values = {name: float(value) for name, value in meter.compute().items()}
    calibration = Calibration(heat, values["calibration_error"],
                              float(calibration_error(confidence, (predicted == labels).float())))
    recall = confusion.diagonal().double() / confusion.sum(1)
    return TestResult(values, {"recall": recall.tolist()}, confusion.tolist() if classes <= LARGEST else None,
                      calibration)


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
