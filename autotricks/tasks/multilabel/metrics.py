"""What answers of yes or no to each class are worth: average precision, F1, exact matches, log loss."""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...functional.label_sets import class_shares
from ...functional.ranking_metrics import rank_metrics
from ..shots import SHOTS, shots

HALF = 0.5          # probability from which on a class is named until thresholds are fitted
METRICS = ("loss", "mean_average_precision", "macro_f1", "micro_f1", "exact_match", *SHOTS)


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
    """

    def __init__(self, counts: Tensor, targets: Targets):
        self._counts = counts
        self._truth = truth_of(targets, len(counts))
        self._logits: list[Tensor] = []
        self.names = (*METRICS[:-len(SHOTS)], *shots(counts, self._truth.any(0)))

    def update(self, output: Output, targets: Targets) -> None:
        """Take in logits, [B, C]; what is true of them is known of the split, in its order."""
        self._logits.append(output)

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a group of classes that the split lacks has none."""
        return metrics(torch.cat(self._logits).float(), self._truth, self._counts)


def truth_of(targets: Targets, classes: int) -> Tensor:
    """Return whether each image has each label, [N, C], bool."""
    return class_shares(targets, classes) > 0


def metrics(logits: Tensor, truth: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """Return the metrics of predictions by name, each a tensor of one value.

    Means over classes are over those that occur in the split; a class that does not has no average precision. F1 is
    taken where the probability is at least one half.

    Shapes:
        logits: [N, C].
        truth: [N, C], bool.
        counts: [C], training images of each class.
    """
    precision = rank_metrics(logits, truth).average_precision
    present = truth.any(0)
    answers = tally(logits >= 0, truth)
    values = {"loss": F.binary_cross_entropy_with_logits(logits, truth.float()),
              "mean_average_precision": precision[present].mean(),
              "macro_f1": answers.f1[present].mean(), "micro_f1": micro_f1(answers),
              "exact_match": ((logits >= 0) == truth).all(1).float().mean()}
    values |= {name: precision[mask].mean() for name, mask in shots(counts, present).items()}
    return {name: value.float() for name, value in values.items()}


def tally(named: Tensor, truth: Tensor) -> Tally:
    """Count answers of each class; `named` and `truth` are [N, C], bool."""
    return Tally((named & truth).sum(0), named.sum(0), truth.sum(0))


def micro_f1(answers: Tally) -> Tensor:
    """Return the F1 of all answers together; 0 where nothing is named rightly."""
    return 2 * answers.right.sum() / (answers.named.sum() + answers.there.sum()).clamp(min=1)
