"""What a trained model of several labels does on test, class by class, with thresholds fitted on validation."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.task import Measured
from ...functional.ranking_metrics import rank_metrics
from ...stats.test_results import TestResult
from .metrics import HALF, MultilabelMeter, micro_f1, tally, truth_of


def tested(validation: Measured, test: Measured, meter: MultilabelMeter) -> TestResult:
    """Return figures on test: those at one half, and F1, precision and recall at thresholds fitted on validation.

    Args:
        validation: Logits, [N, C], and targets.
        test: Likewise.
        meter: Empty, of test.
    """
    classes = test.output.shape[1]
    limits = thresholds(validation.output.sigmoid(), truth_of(validation.targets, classes))
    logits = test.output.float()
    truth = truth_of(test.targets, classes)
    answers = tally(logits.sigmoid() >= limits, truth)
    present = truth.any(0)
    meter.update(logits, test.targets)
    values = {name: float(value) for name, value in meter.compute().items()}
    values |= {"macro_f1_at_thresholds": float(answers.f1[present].mean()),
               "micro_f1_at_thresholds": float(micro_f1(answers))}
    f1 = torch.where(present, answers.f1, math.nan)
    by_class = {"average_precision": rank_metrics(logits, truth).average_precision, "f1": f1,
                "precision": answers.precision, "recall": answers.recall}
    return TestResult(values, {name: figures.tolist() for name, figures in by_class.items()},
                      thresholds=limits.tolist())


def thresholds(probabilities: Tensor, truth: Tensor) -> Tensor:
    """Return the probability of each class from which on naming it gives the best F1.

    It lies half-way between the least probability that is to be named and the next below it. A class without an image
    has one half. Of equally good thresholds the highest is taken.

    Paper: Lipton et al. 2014, https://arxiv.org/abs/1402.1892, on thresholds that maximize F1; here by trying each.

    Shapes:
        probabilities: [N, C].
        truth: [N, C], bool.
        returns: [C].
    """
    ordered, order = probabilities.double().sort(0, descending=True)
    right = truth.gather(0, order).cumsum(0)
    named = torch.arange(1, len(truth) + 1, device=truth.device).unsqueeze(1)
    f1 = 2 * right / (named + truth.sum(0))
    below = torch.cat([ordered[1:], torch.full_like(ordered[:1], -1)])
    f1 = torch.where(ordered > below, f1, -1)      # no threshold lies between equal probabilities
    best = f1.argmax(0, keepdim=True)
    middle = (ordered.gather(0, best) + below.gather(0, best)).squeeze(0) / 2
    return torch.where(truth.any(0), middle.clamp(min=0), HALF)
