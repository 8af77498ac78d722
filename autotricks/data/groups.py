"""Grouped splits: images of one object, patient or film stay together, whatever split they go to."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..core.targets import Targets
from ..errors import DataError

ATTEMPTS = 20           # orders in which groups are tried before a split is given up
GAIN = 1e-12            # less of an improvement is rounding
MAX_LISTED = 5


def cut(labels: Tensor, groups: Sequence[str], fractions: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    """Cut whole groups off the training images, one split after the other, and return the rows of each split.

    Every class keeps at least one group in each split. See `Draw` for how near the classes come to their fractions.

    Args:
        labels: [N], int64, each class at least once.
        groups: The group of each image.
        fractions: Of what is left, by split, in the order of cutting.
        seed: Seed of the draw.

    Raises:
        DataError: When no draw leaves a group of each class in each split.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    for attempt in range(ATTEMPTS):
        left = np.arange(len(labels))
        rows = {}
        for index, (name, fraction) in enumerate(fractions.items()):
            order = np.random.RandomState([seed, attempt, index])
            draw = Draw.of(labels.numpy()[left], numbers[left], fraction, len(fractions) - index)
            if not draw.settle(order.permutation(len(draw.sizes))):
                break
            out = draw.held[np.unique(numbers[left], return_inverse=True)[1]]
            rows[name] = torch.from_numpy(left[out])
            left = left[~out]
        else:
            return {**rows, "train": torch.from_numpy(left)}
    raise DataError(f"data.group: in {ATTEMPTS} orders of the groups, none left every class in every split: too many "
                    "groups hold several rare classes. Make smaller groups, drop rare classes, or give the splits.")


@dataclass
class Draw:
    """Which groups are held out, moved one by one until no single move brings the classes nearer to the fraction.

    With s the held share of each class, f the fraction and v_g the shares that group g has of each class, moves make
    D = sum over classes of (s - f)^2 smaller. Where none does, and every class could still lose or gain a group,

        D <= ((1 - f) * sum over held g of |v_g|^2 + f * sum over other g of |v_g|^2) / 2,

    which is the mean of D when each group is drawn with chance f, wherever the sums are as f : 1 - f. Where groups are
    of one class each, |s - f| is at most half the share of the class's smallest group on the longer side.
    Proof: a held g that stays has <s - f, v_g> <= |v_g|^2 / 2, another one >= -|v_g|^2 / 2; add them up with weights
    1 - f and -f, since all v_g add up to 1.

    Deviates: from scikit-learn's StratifiedGroupKFold, which offers fractions of 1 / k alone and no such bound.

    Args:
        classes: Of each group, the classes that it has.
        sizes: Of each group, its share of each of those classes.
        fraction: To hold out.
        stay: Groups of each class that are not held out, at least.
        total: Groups of each class.
        held: Whether each group is held out.
        inside: Held groups of each class.
        gap: Held share of each class less the fraction.
    """

    classes: list[np.ndarray]
    sizes: list[np.ndarray]
    fraction: float
    stay: int
    total: np.ndarray
    held: np.ndarray = field(init=False)
    inside: np.ndarray = field(init=False)
    gap: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.held = np.zeros(len(self.sizes), bool)
        self.inside = np.zeros_like(self.total)
        self.gap = np.full(len(self.total), -self.fraction)

    @classmethod
    def of(cls, labels: np.ndarray, groups: np.ndarray, fraction: float, stay: int) -> Draw:
        """Return a draw of the groups of some images, in the order of their numbers, none of them held yet."""
        groups = np.unique(groups, return_inverse=True)[1]
        pairs, counts = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
        shares = counts / np.bincount(labels)[pairs[1]]
        edges = np.flatnonzero(np.diff(pairs[0])) + 1
        return cls(np.split(pairs[1], edges), np.split(shares, edges), fraction, stay, np.bincount(pairs[1]))

    def settle(self, order: np.ndarray) -> bool:
        """Move groups in this order until none has reason to; return whether each class has a group held out."""
        for group in order:
            self._move_if_better(group)
        for missing in np.flatnonzero(self.inside == 0):
            able = [group for group in order if missing in self.classes[group] and self._legal(group)]
            if self.inside[missing] == 0 and able:
                self._move(min(able, key=self._change))
        while sum(self._move_if_better(group) for group in order):
            pass
        return bool((self.inside > 0).all())

    def _move_if_better(self, group: int) -> bool:
        better = self._change(group) < -GAIN and self._legal(group)
        if better:
            self._move(group)
        return better

    def _change(self, group: int) -> float:
        """Return by how much D changes when a group moves to the other side."""
        sign = -1 if self.held[group] else 1
        size = self.sizes[group]
        return float(2 * sign * (self.gap[self.classes[group]] @ size) + size @ size)

    def _legal(self, group: int) -> bool:
        """Return whether each class keeps a group where this one is."""
        inside = self.inside[self.classes[group]]
        if self.held[group]:
            return bool((inside > 1).all())
        return bool((self.total[self.classes[group]] - inside > self.stay).all())

    def _move(self, group: int) -> None:
        sign = -1 if self.held[group] else 1
        self.gap[self.classes[group]] += sign * self.sizes[group]
        self.inside[self.classes[group]] += sign
        self.held[group] = not self.held[group]


def numbered(groups: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Return the number of the group of each image, [N], int64, by split; a group has one number in all splits."""
    lengths = [len(names) for names in groups.values()]
    names = [name for part in groups.values() for name in part]
    numbers = torch.from_numpy(np.unique(np.asarray(names, str), return_inverse=True)[1])
    return dict(zip(groups, numbers.split(lengths), strict=True)) if lengths else {}


def require(targets: Targets, groups: Sequence[str], classes: Sequence[str], cuts: Sequence[str]) -> None:
    """Refuse classes with too few groups to be cut into train and `cuts`.

    Raises:
        DataError: Naming them.
    """
    pairs = {(label, group) for row, group in zip(targets.listed(), groups, strict=True) for label in row}
    counts = np.bincount([label for label, _ in pairs], minlength=len(classes))
    few = [f"{name!r} ({count})" for name, count in zip(classes, counts) if count <= len(cuts)]
    if few:
        more = f" and {len(few) - MAX_LISTED} more" if len(few) > MAX_LISTED else ""
        raise DataError(f"data.group: too few groups to split off {' and '.join(cuts)} in class "
                        f"{', '.join(few[:MAX_LISTED])}{more}; each class needs {len(cuts) + 1}. Make smaller groups, "
                        "drop the class, or give the splits yourself.")


def require_apart(groups: Mapping[str, Sequence[str]]) -> None:
    """Refuse splits of the source's own that share a group.

    Raises:
        DataError: Naming a few.
    """
    names = list(groups)
    problems = []
    for index, left in enumerate(names):
        for right in names[index + 1:]:
            both = sorted({*groups[left]} & {*groups[right]})
            if both:
                more = f" and {len(both) - MAX_LISTED} more" if len(both) > MAX_LISTED else ""
                problems.append(f"data.group: {left} and {right} share "
                                f"{', '.join(map(repr, both[:MAX_LISTED]))}{more}. Move each group to one split, or "
                                "drop the splits to have them made.")
    if problems:
        raise DataError(problems)
