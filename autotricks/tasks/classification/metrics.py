"""What a classifier is worth: the metrics that people judge one by, and the meter that measures them."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import Metric
from ..costs import COST, Costs
from ..shots import shots
from . import figures
from .figures import Predictions

TOP = "top_5_accuracy"      # which is measured on test, unasked, where there are more classes
CONTRASTS = ("auroc", "cohen_kappa", "quadratic_kappa")     # which say nothing where all images are of one class
TOP_ACCURACY = Metric("top_K_accuracy", "top-{} accuracy", percent=True, asked=True,
                      pattern="top_([2-9]|[1-9][0-9]+)_accuracy")
RECALL = Metric("recall[CLASS]", "recall of {}", percent=True, asked=True, pattern=r"recall\[(.+)\]")
METRICS = (
    Metric("accuracy", "accuracy", percent=True, about="of images"),
    Metric("balanced_accuracy", "balanced accuracy", percent=True, about="the mean over classes"),
    Metric("macro_f1", "macro F1", percent=True, about="the mean over classes"),
    Metric("weighted_f1", "weighted F1", percent=True, about="the mean over classes, by their images"),
    TOP_ACCURACY,
    Metric("auroc", "AUROC", asked=True, about="each class against the rest, the mean"),
    Metric("average_precision", "average precision", percent=True, asked=True,
           about="each class against the rest, the mean"),
    Metric("cohen_kappa", "Cohen's kappa", about="agreement beyond chance"),
    Metric("quadratic_kappa", "quadratic kappa", about="mistakes weigh by how far apart the classes stand"),
    Metric("matthews", "Matthews correlation"),
    Metric("many_shot", "many-shot classes", percent=True, about="accuracy above 100 training images a class"),
    Metric("medium_shot", "medium-shot classes", percent=True, about="accuracy at 20 to 100 training images a class"),
    Metric("few_shot", "few-shot classes", percent=True, about="accuracy below 20 training images a class"),
    RECALL,
    Metric(COST, "cost", maximize=False, asked=True, about="of an image, the mean"),
    Metric("loss", "log loss", maximize=False, about="cross-entropy"),
    Metric("brier", "Brier score", maximize=False, about="squared error of the probabilities"),
    Metric("calibration_error", "calibration error", maximize=False, percent=True))
Figure = Callable[[Predictions], Tensor]
PLAIN: dict[str, Figure] = {
    "accuracy": figures.accuracy, "balanced_accuracy": figures.balanced_accuracy, "macro_f1": figures.macro_f1,
    "weighted_f1": figures.weighted_f1, "auroc": figures.auroc, "average_precision": figures.average_precision,
    "cohen_kappa": figures.cohen_kappa, "quadratic_kappa": figures.quadratic_kappa, "matthews": figures.matthews,
    "loss": figures.log_loss, "brier": figures.brier, "calibration_error": figures.calibration}


@dataclass(frozen=True)
class Asked:
    """What an objective asks for beside the figures of every epoch.

    Args:
        names: Of metrics.
        classes: Names of all classes.
        costs: Of taking a true class (row) for another (column); empty where nobody says.
    """

    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    costs: Costs = ()


NOTHING = Asked()


class ClassificationMeter:
    """Gathers logits, and measures them all at once.

    Args:
        counts: Training images of each class, [C].
        targets: Of the split that is measured.
        asked: What is measured beside the figures of every epoch.
        whole: Whether all is measured that there is.
    """

    def __init__(self, counts: Tensor, targets: Targets, asked: Asked = NOTHING, whole: bool = False):
        self._labels = targets.single
        self._logits: list[Tensor] = []
        self._figures = _figures(counts, torch.bincount(self._labels, minlength=len(counts)) > 0, asked, whole)
        self.names = tuple(self._figures)

    def update(self, output: Output, targets: Targets) -> None:
        """Take in logits, [B, C]; their labels are those of the split, in its order."""
        self._logits.append(output)

    def compute(self) -> dict[str, Tensor]:
        """Return each metric by name; what the split cannot have is left out."""
        seen = Predictions(torch.cat(self._logits).float(), self._labels)
        return {name: figure(seen).float() for name, figure in self._figures.items()}


def _figures(counts: Tensor, present: Tensor, asked: Asked, whole: bool) -> dict[str, Figure]:
    """Return how each metric is computed that a split has, in the order in which people are shown them.

    A group of classes that the split lacks has no accuracy, a class that it lacks no recall; where all its images are
    of one class there are neither kappas nor AUROC.
    """
    known: dict[str, Figure] = dict(PLAIN)
    known |= {name: partial(_group_recall, mask) for name, mask in shots(counts, present).items()}
    known |= {COST: partial(figures.cost, costs=asked.costs)} if asked.costs else {}
    for name in dict.fromkeys([*asked.names, *([TOP] if whole else [])]):
        top = TOP_ACCURACY.word(name)
        one = RECALL.word(name)
        if top and int(top) < len(counts):
            known[name] = partial(figures.top_accuracy, count=int(top))
        elif one and present[asked.classes.index(one)]:
            known[name] = partial(_group_recall, asked.classes.index(one))
    alone = CONTRASTS if int(present.sum()) < 2 else ()
    names = [name for metric in METRICS for name in known if metric.named(name) and name not in alone
             and (whole or not metric.asked or name in asked.names)]
    return {name: known[name] for name in names}


def _group_recall(which: Tensor | int, seen: Predictions) -> Tensor:
    """Return the mean recall of some classes, or that of one."""
    return seen.recall[which].mean()
