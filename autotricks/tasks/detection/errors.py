"""What goes wrong in a detector, by kind, as TIDE names them: class, place, both, double, background, missed.

Paper: Bolya et al. 2020, https://arxiv.org/abs/2008.08115.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...stats.test_results import Mistakes
from .average_precision import falling
from .matching import Flags, Found, Labels, Matches, Numbers, Pairs, Truths, matches

ENOUGH = 0.5        # overlap from which on a box is on an object
NEAR = 0.1          # overlap below which it is on the background
HALF = np.array([ENOUGH])
KINDS = ("class", "place", "both", "double", "background", "missed")


@dataclass(frozen=True, eq=False)
class Kinds:
    """Each thing found that is wrong, [F], is of one kind; so is each object, [G], that is missed.

    Args:
        wrong: Whether each thing found is of a kind, by kind, [F] each.
        missed: Whether an object was neither found nor touched by an error of class or place, [G].
        mends: Which object, [F], something found would be right on, were its class or place mended; -1 for none.
    """

    wrong: dict[str, Flags]
    missed: Flags
    mends: Labels


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found, matched at an overlap of one half, and what is wrong with the rest.

    Args:
        truths: What is there.
        found: What was found.
        near: Pairs of any classes that overlap by at least `NEAR`; of objects that count alone.
        matched: At one half, among objects of the same class.
        classes: Number of classes.
    """

    truths: Truths
    found: Found
    near: Pairs
    matched: Matches
    classes: int

    @classmethod
    def of(cls, truths: Truths, found: Found, classes: int) -> Diagnosis:
        """Return the diagnosis of what was found."""
        near = Pairs.of(truths, found, NEAR, alike=False)
        near = near[truths.counted.ravel()[near.objects]]
        return cls(truths, found, near, matches(truths, found, Pairs.of(truths, found), levels=HALF), classes)

    @property
    def right(self) -> Flags:
        """Whether each thing found is an object of its class, not found before; [F]."""
        return np.asarray(self.matched.right[0])

    @property
    def wrong(self) -> Flags:
        """Whether each is not; what is neither was found on an ignored object, or is padding; [F]."""
        return np.asarray(self.matched.wrong[0])

    @property
    def seen(self) -> Flags:
        """Whether each object was found; [G]."""
        seen = np.zeros(self.truths.labels.size, bool)
        seen[self.matched.objects[0][self.right]] = True
        return seen

    def kinds(self) -> Kinds:
        """Return of which kind everything wrong is."""
        alike = self.found.labels.ravel()[self.near.found] == self.truths.labels.ravel()[self.near.objects]
        own, place = self._nearest(alike)
        other, stranger = self._nearest(~alike)
        wrong = {"place": (own >= NEAR) & (own < ENOUGH), "class": other >= ENOUGH, "double": own >= ENOUGH,
                 "background": np.maximum(own, other) < NEAR, "both": np.ones_like(own, bool)}
        left = self.wrong.copy()
        for kind, flags in wrong.items():       # in this order, each takes what none before it took
            wrong[kind] = flags & left
            left &= ~flags
        mends = np.where(wrong["place"], place, np.where(wrong["class"], stranger, -1))
        touched = np.zeros(self.truths.labels.size, bool)
        touched[mends[mends >= 0]] = True
        return Kinds(wrong, self.truths.counted.ravel() & ~self.seen & ~touched, mends)

    def _nearest(self, which: Flags) -> tuple[Numbers, Labels]:
        """Return the largest overlap of each thing found among some pairs, and with which object; [F] each."""
        pairs = self.near[which].preferred(np.ones(int(which.sum()), bool))
        first = np.diff(pairs.found, prepend=-1) > 0
        overlaps = np.zeros(self.found.scores.size)
        objects = np.full(self.found.scores.size, -1)
        overlaps[pairs.found[first]] = pairs.overlaps[first]
        objects[pairs.found[first]] = pairs.objects[first]
        return overlaps, objects

    def costs(self) -> dict[str, float]:
        """Return how much average precision at one half would rise, were all errors of a kind mended.

        What has the wrong class or place becomes right; of several on one object the likeliest, and the others go, as
        do all on an object that was found anyhow. Doubles, those on the background and those with both wrong go. What
        is missed counts as not there.
        """
        kinds = self.kinds()
        there = self.truths.counts(self.classes)
        labels = self.found.labels.ravel()
        missed = np.bincount(self.truths.labels.ravel()[kinds.missed], minlength=self.classes)
        mended = self._mended(kinds.mends)
        now = self._average(labels, self.right, self.wrong, there)
        costs = {"missed": self._average(labels, self.right, self.wrong, there - missed) - now}
        for kind, flags in kinds.wrong.items():
            fixed = mended & flags
            better = np.where(fixed, self.truths.labels.ravel()[kinds.mends], labels)
            costs[kind] = self._average(better, self.right | fixed, self.wrong & ~flags, there) - now
        return costs

    def _mended(self, mends: Labels) -> Flags:
        """Return which errors are right once they are mended: on each object that was not found, the likeliest."""
        places = np.flatnonzero((mends >= 0) & ~self.seen[mends])
        likeliest = places[np.argsort(-self.found.scores.ravel()[places], kind="stable")]
        mended = np.zeros(len(mends), bool)
        mended[likeliest[np.unique(mends[likeliest], return_index=True)[1]]] = True
        return mended

    def _average(self, labels: Labels, right: Flags, wrong: Flags, there: Labels) -> float:
        """Return the mean average precision at one half; 0 of a class of which nothing is left to find."""
        order = np.lexsort((-self.found.scores.ravel(), labels))
        order = order[(right | wrong)[order]]
        average = falling(labels[order], right[None, order], wrong[None, order], there).average
        return float(np.nan_to_num(average)[self.truths.counts(self.classes) > 0].mean())


def mistakes(told: Diagnosis, every: Diagnosis) -> dict[str, Mistakes]:
    """Return how often each kind of error is among what is told, and what it costs of all that was found."""
    kinds = told.kinds()
    costs = every.costs()
    flags = {**kinds.wrong, "missed": kinds.missed}
    return {kind: Mistakes(int(flags[kind].sum()), costs[kind]) for kind in KINDS}
