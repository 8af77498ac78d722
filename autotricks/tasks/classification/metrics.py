"""What a classifier is worth: accuracy, balanced accuracy, many/medium/few-shot accuracy, calibration error."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets

MANY = 100
FEW = 20     # training images of a class: many-shot above, few-shot below (Liu et al. 2019)
BINS = 15
SHOTS = ("many_shot", "medium_shot", "few_shot")
METRICS = ("loss", "accuracy", "balanced_accuracy", "calibration_error", *SHOTS)


class ClassificationMeter:
    """Gathers logits, and measures them all at once.

    Args:
        counts: Training images of each class, [C].
        targets: Of the split that is measured.
    """

    def __init__(self, counts: Tensor, targets: Targets):
        self._counts = counts
        self._labels = targets.single
        self._logits: list[Tensor] = []
        present = torch.bincount(self._labels, minlength=len(counts)) > 0
        self.names = (*METRICS[:-len(SHOTS)], *shots(counts, present))

    def update(self, output: Output, targets: Targets) -> None:
        """Take in logits, [B, C]; their labels are those of the split, in its order."""
        self._logits.append(output)

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; a group of classes that the split lacks has none."""
        return metrics(torch.cat(self._logits).float(), self._labels, self._counts)


def metrics(logits: Tensor, labels: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """Return the metrics of predictions by name, each a tensor of one value.

    Shapes:
        logits: [N, C].
        labels: [N], int64.
        counts: [C], training images of each class.
    """
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == labels).float()
    sizes = torch.bincount(labels, minlength=len(counts))
    recall = torch.bincount(labels, weights=right, minlength=len(counts)) / sizes.clamp(min=1)
    present = sizes > 0
    values = {"loss": F.cross_entropy(logits, labels), "accuracy": right.mean(),
              "balanced_accuracy": recall[present].mean(), "calibration_error": calibration_error(confidence, right)}
    values |= {name: recall[mask].mean() for name, mask in shots(counts, present).items()}
    return {name: value.float() for name, value in values.items()}


def shots(counts: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Return the classes, [C] bool, that are many-, medium- and few-shot among those present, without empty groups.

    Shapes:
        counts: [C], training images of each class.
        present: [C] bool, whether the class occurs where it is measured.
    """
    masks = (counts > MANY, (counts <= MANY) & (counts >= FEW), counts < FEW)
    return {name: mask & present for name, mask in zip(SHOTS, masks, strict=True) if bool((mask & present).any())}


def calibration_error(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the expected calibration error over 15 equal bins of confidence.

    Paper: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.

    Shapes:
        confidence: [N], in [0, 1].
        right: [N], 1 where the prediction is right.
    """
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gap = torch.bincount(bins, weights=right - confidence, minlength=BINS)
    return gap.abs().sum() / len(confidence)
