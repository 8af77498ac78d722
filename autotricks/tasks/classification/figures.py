"""What is computed of logits and labels: one figure each, as scikit-learn has it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ...functional.ranking_metrics import RankMetrics, rank_metrics

BINS = 15


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of images, and what is true of them.

    Shapes:
        logits: [N, C], float32.
        labels: [N], int64.
    """

    logits: Tensor
    labels: Tensor

    @cached_property
    def probabilities(self) -> Tensor:
        """Probability of each class, [N, C]."""
        return self.logits.softmax(1)

    @cached_property
    def confident(self) -> tuple[Tensor, Tensor]:
        """The largest probability of each image and its class, the first of equal ones; [N] each."""
        confidence, guess = self.probabilities.max(1)
        return confidence, guess

    @property
    def guess(self) -> Tensor:
        """The class that each image is taken for, [N]."""
        return self.confident[1]

    @cached_property
    def right(self) -> Tensor:
        """1 where the guess is right, [N], float32."""
        return (self.guess == self.labels).float()

    @cached_property
    def true(self) -> Tensor:
        """Images of each class, [C], float64."""
        return torch.bincount(self.labels, minlength=self.logits.shape[1]).double()

    @cached_property
    def taken(self) -> Tensor:
        """Images that are taken for each class, [C], float64."""
        return torch.bincount(self.guess, minlength=self.logits.shape[1]).double()

    @cached_property
    def found(self) -> Tensor:
        """Images of each class that are taken for it, [C], float64."""
        return torch.bincount(self.labels, weights=self.right.double(), minlength=self.logits.shape[1])

    @cached_property
    def recall(self) -> Tensor:
        """Share of each class that is found, [C], float64; 0 where it has no images."""
        return self.found / self.true.clamp(min=1)

    @cached_property
    def ranks(self) -> RankMetrics:
        """Of each class against the rest: what the order of its probability is worth."""
        truth = self.labels[:, None] == torch.arange(self.logits.shape[1], device=self.labels.device)
        return rank_metrics(self.logits.log_softmax(1), truth)     # in which nearly certain ones are not yet equal


def accuracy(seen: Predictions) -> Tensor:
    """Return the share of images whose guess is right."""
    return seen.right.mean()


def balanced_accuracy(seen: Predictions) -> Tensor:
    """Return the mean recall of the classes that have images."""
    return seen.recall[seen.true > 0].mean()


def f1(seen: Predictions) -> Tensor:
    """Return the F1 of each class, [C]; 0 where it is never found."""
    return 2 * seen.found / (seen.true + seen.taken).clamp(min=1)


def macro_f1(seen: Predictions) -> Tensor:
    """Return the mean F1 of the classes that have images or are named as a guess."""
    return f1(seen)[seen.true + seen.taken > 0].mean()


def weighted_f1(seen: Predictions) -> Tensor:
    """Return the mean F1 of the classes, by their images."""
    return (f1(seen) * seen.true).sum() / seen.true.sum()


def top_accuracy(seen: Predictions, count: int) -> Tensor:
    """Return the share of images whose class is among the `count` likeliest; of equal ones the last are taken."""
    own = seen.logits.gather(1, seen.labels[:, None])
    later = torch.arange(seen.logits.shape[1], device=seen.labels.device) > seen.labels[:, None]
    ahead = (seen.logits > own) | ((seen.logits == own) & later)
    return (ahead.sum(1) < count).float().mean()


def auroc(seen: Predictions) -> Tensor:
    """Return the mean area under the ROC curve, each class against the rest, of those that have images but not all."""
    return seen.ranks.auroc.nanmean()


def average_precision(seen: Predictions) -> Tensor:
    """Return the mean average precision, each class against the rest, of those that have images."""
    return seen.ranks.average_precision.nanmean()


def cohen_kappa(seen: Predictions) -> Tensor:
    """Return how far guess and truth agree beyond chance: 1 where they always do, 0 by chance.

    Paper: Cohen 1960, https://doi.org/10.1177/001316446002000104.
    """
    images = seen.true.sum()
    chance = (seen.true * seen.taken).sum() / images ** 2
    return (seen.found.sum() / images - chance) / (1 - chance)


def quadratic_kappa(seen: Predictions) -> Tensor:
    """Return kappa with mistakes weighed by the square of the distance of the classes, in their order.

    The mean of (i - j)^2 needs no confusion matrix; by chance it is E[i^2] + E[j^2] - 2 E[i] E[j].

    Paper: Cohen 1968, https://doi.org/10.1037/h0026256.
    """
    truth = seen.labels.double()
    guess = seen.guess.double()
    chance = truth.square().mean() + guess.square().mean() - 2 * truth.mean() * guess.mean()
    return 1 - (truth - guess).square().mean() / chance


def matthews(seen: Predictions) -> Tensor:
    """Return the correlation of guess and truth; 0 where either is always the same class.

    Paper: Gorodkin 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006, equation 8.
    """
    images = seen.true.sum()
    both = images * seen.found.sum() - (seen.true * seen.taken).sum()
    alone = (images ** 2 - seen.true.square().sum()) * (images ** 2 - seen.taken.square().sum())
    return torch.where(alone > 0, both / alone.clamp(min=1).sqrt(), 0)


def cost(seen: Predictions, costs: Sequence[Sequence[float]]) -> Tensor:
    """Return the mean over images of what the guess costs; `costs` are of true class (row) by guess (column)."""
    table = torch.tensor(costs, dtype=torch.float64, device=seen.labels.device)
    return table[seen.labels, seen.guess].mean()


def log_loss(seen: Predictions) -> Tensor:
    """Return the cross-entropy."""
    return F.cross_entropy(seen.logits, seen.labels)


def brier(seen: Predictions) -> Tensor:
    """Return the squared error of the probabilities, over all classes; of two classes, of one of them.

    Paper: Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    wrong = seen.probabilities - F.one_hot(seen.labels, seen.logits.shape[1])
    both = 2 if seen.logits.shape[1] == 2 else 1
    return wrong.square().sum(1).mean() / both


def calibration(seen: Predictions) -> Tensor:
    """Return the expected calibration error."""
    return calibration_error(seen.confident[0], seen.right)


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
