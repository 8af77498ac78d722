"""What answers of yes or no to each class are worth: average precision, F1, exact matches, log loss."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Metric
from ...functional.label_sets import class_shares
from ...functional.ranking_metrics import rank_metrics
from ..shots import shots

HALF = 0.5          # probability from which on a class is named until thresholds are fitted
AVERAGE_PRECISION = Metric("average_precision[CLASS]", "average precision of {}", percent=True, asked=True,
                           pattern=r"average_precision\[(.+)\]")
METRICS = (
    Metric("mean_average_precision", "mean average precision", percent=True, about="the mean over classes"),
    Metric("macro_f1", "macro F1", percent=True, about="the mean over classes, named from one half on"),
    Metric("micro_f1", "micro F1", percent=True, about="of all answers together, named from one half on"),
    Metric("macro_f1_at_thresholds", "macro F1 at fitted thresholds", percent=True, asked=True,
           about="which are fitted on validation; measured on test"),
    Metric("micro_f1_at_thresholds", "micro F1 at fitted thresholds", percent=True, asked=True,
           about="which are fitted on validation; measured on test"),
    Metric("exact_match", "exact matches", percent=True, about="images whose every label is right"),
    Metric("many_shot", "many-shot classes", percent=True, about="average precision above 100 training images a class"),
    Metric("medium_shot", "medium-shot classes", percent=True,
           about="average precision at 20 to 100 training images a class"),
    Metric("few_shot", "few-shot classes", percent=True, about="average precision below 20 training images a class"),
    AVERAGE_PRECISION,
    Metric("loss", "log loss", maximize=False, about="binary cross-entropy of an answer, the mean"))
ON_TEST = ("macro_f1_at_thresholds", "micro_f1_at_thresholds")
EVERY = ("mean_average_precision", "macro_f1", "micro_f1", "exact_match", "loss")    # which any split has


class Tally(NamedTuple):
    """Answers of each class, [C] each: rightly named, named, there."""

    right: Tensor
    named: Tensor
    there: Tensor

    @property
    def f1(self) -> Tensor:
        """The F1 of each class, [C]: 0 where nothing is named rightly."""
        return 2 * self.right / (self.named + self.there).clamp(min=1)

    @property
    def precision(self) -> Tensor:
        """How often a class that was named was there, [C]; nan where it was never named."""
        return self.right / self.named

    @property
    def recall(self) -> Tensor:
        """How often a class that is there was named, [C]; nan where it is never there."""
        return self.right / self.there


class MultilabelMeter:
    """Gathers logits, and measures them all at once.

    Args:
        counts: Training images of each class, [C].
        targets: Of the split that is measured.
        asked: Classes whose average precision is measured, by name, with their numbers.
    """

    def __init__(self, counts: Tensor, targets: Targets, asked: Mapping[str, int] = MappingProxyType({})):
        self._counts = counts
        self._truth = truth_of(targets, len(counts))
        self._logits: list[Tensor] = []
        present = self._truth.any(0)
        self._asked = {name: label for name, label in asked.items() if present[label]}
        self.names = (*EVERY, *shots(counts, present), *self._asked)

    def update(self, output: Output, targets: Targets) -> None:
        """Take in logits, [B, C]; what is true of them is known of the split, in its order."""
        self._logits.append(output)

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a class or a group of classes that the split lacks has none."""
        return metrics(torch.cat(self._logits).float(), self._truth, self._counts, self._asked)


def truth_of(targets: Targets, classes: int) -> Tensor:
    """Return whether each image has each label, [N, C], bool."""
    return class_shares(targets, classes) > 0


def metrics(logits: Tensor, truth: Tensor, counts: Tensor,
            asked: Mapping[str, int] = MappingProxyType({})) -> dict[str, Tensor]:
    """Return the metrics of predictions by name, each a tensor of one value.

    Means over classes are over those that occur in the split; a class that does not has no average precision. F1 is
    taken where the probability is at least one half.

    Args:
        logits: What the model says.
        truth: Whether each image has each label.
        counts: Training images of each class.
        asked: Names of metrics that are the average precision of one class, with its number.

    Shapes:
        logits: [N, C].
        truth: [N, C], bool.
        counts: [C].
    """
    precision = rank_metrics(logits, truth).average_precision
    present = truth.any(0)
    answers = tally(logits >= 0, truth)
    exact = ((logits >= 0) == truth).all(1).float().mean()
    loss = F.binary_cross_entropy_with_logits(logits, truth.float())
    every = precision[present].mean(), answers.f1[present].mean(), micro_f1(answers), exact, loss
    values = dict(zip(EVERY, every, strict=True))
    values |= {name: precision[mask].mean() for name, mask in shots(counts, present).items()}
    values |= {name: precision[label] for name, label in asked.items()}
    return {name: value.float() for name, value in values.items()}


def tally(named: Tensor, truth: Tensor) -> Tally:
    """Count answers of each class; `named` and `truth` are [N, C], bool."""
    return Tally((named & truth).sum(0), named.sum(0), truth.sum(0))


def micro_f1(answers: Tally) -> Tensor:
    """Return the F1 of all answers together; 0 where nothing is named rightly."""
    return 2 * answers.right.sum() / (answers.named.sum() + answers.there.sum()).clamp(min=1)
