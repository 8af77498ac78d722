"""Average precision as COCO defines it, over ten overlaps, by class and by size of objects."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .matching import EVERY, Area, Flags, Found, Labels, Numbers, Pairs, Truths, matches

RECALLS = np.linspace(0, 1, 101)
SIZES: dict[str, Area] = {"small": (0.0, 32.0 ** 2), "medium": (32.0 ** 2, 96.0 ** 2), "large": (96.0 ** 2, 1e10)}


@dataclass(frozen=True, eq=False)
class Curves:
    """How precise what was found is at each recall, at each of T overlaps; nan for a class without objects.

    Shapes:
        precision: [C, T, 101], at recalls of 0, .01, ..., 1.
        recall: [C, T], the largest.
    """

    precision: Numbers
    recall: Numbers

    @property
    def average(self) -> Numbers:
        """The average precision of each class at each overlap, [C, T]."""
        return np.asarray(self.precision.mean(2))


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was found held against what is there.

    Args:
        truths: What is there.
        found: What was found.
        classes: Number of classes C.
    """

    truths: Truths
    found: Found
    classes: int

    @cached_property
    def pairs(self) -> Pairs:
        """What was found with the objects of its class that it overlaps; of any size."""
        return Pairs.of(self.truths, self.found)

    @cached_property
    def order(self) -> Labels:
        """Places of what was found, by class and the likeliest first; padding is left out."""
        scores = self.found.scores.ravel()
        order = np.lexsort((-scores, self.found.labels.ravel()))
        return order[scores[order] > 0]

    def curves(self, area: Area = EVERY) -> Curves:
        """Return how precision falls with recall; objects of another size are ignored.

        Args:
            area: Of the objects that count, in square pixels.
        """
        matched = matches(self.truths, self.found, self.pairs, area)
        return falling(self.found.labels.ravel()[self.order], matched.right[:, self.order],
                       matched.wrong[:, self.order], self.truths.counts(self.classes, area))


def falling(labels: Labels, right: Flags, wrong: Flags, there: Labels) -> Curves:
    """Return how precision falls with recall, by class.

    Args:
        labels: Class of each of F things found: ascending, and of a class the likeliest first.
        right: Whether each is an object.
        wrong: Whether it is none; what is neither does not count.
        there: Objects of each class.

    Shapes:
        labels: [F].
        right: [T, F].
        wrong: [T, F].
        there: [C].
    """
    edges = np.searchsorted(labels, np.arange(len(there) + 1))
    precision = np.full((len(there), len(right), len(RECALLS)), np.nan)
    recall = np.full((len(there), len(right)), np.nan)
    for label in there.nonzero()[0]:
        own = slice(edges[label], edges[label + 1])
        true = right[:, own].cumsum(1)
        named = true + wrong[:, own].cumsum(1)
        exact = np.maximum.accumulate((true / np.maximum(named, 1))[:, ::-1], 1)[:, ::-1]
        for level, reached in enumerate(true / there[label]):
            places = np.searchsorted(reached, RECALLS)
            precision[label, level] = np.append(exact[level], 0.0)[places]
            recall[label, level] = reached[-1] if len(reached) else 0.0
    return Curves(precision, recall)


def known_mean(values: Numbers) -> float:
    """Return the mean of those that are known; nan where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
