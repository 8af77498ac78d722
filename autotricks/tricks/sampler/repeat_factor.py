"""Repeat-factor: draw an image the more often, the rarer the rarest class in it."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.targets import Targets
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.label_sets import image_counts, labelled_rows


def repeat_factors(targets: Targets, counts: Tensor, threshold: float) -> Tensor:
    """Return max(1, sqrt(threshold / f)) of each image's rarest class, f the share of images that have it.

    Images without a label have 1.

    Shapes:
        targets: of N images.
        counts: [C], images that have each class.
        returns: [N], float64, >= 1.
    """
    factors = (threshold * len(targets) / counts.double().clamp(min=1)).sqrt().clamp(min=1)
    there = targets.shares.flatten(1) > 0
    return torch.where(there, factors[targets.labels.flatten(1)], 1.0).amax(1)


def systematic(factors: Tensor, offset: Tensor) -> Tensor:
    """Return as many rows as there are factors: row i comes N r_i / (sum of r) times, rounded up or down.

    Shapes:
        factors: [N], r.
        offset: [1], in [0, 1): where the comb of N even teeth begins.
        returns: [N], int64, ascending.
    """
    ends = factors.cumsum(0)
    teeth = (torch.arange(len(factors), device=factors.device) + offset) * (ends[-1] / len(factors))
    return torch.searchsorted(ends, teeth, right=True).clamp(max=len(factors) - 1)


class RepeatFactor(Trick):
    """Draw images in proportion to sqrt(threshold / f) of the rarest class in them, f its share of images; 1 at least.

    Classes that more than `threshold` of the images have are drawn as they occur. An image may have any number of
    labels, and of objects of a class.

    Paper: Gupta et al. 2019, https://arxiv.org/abs/1908.03195, section on repeat factor sampling, after Mahajan et al.
        2018, https://arxiv.org/abs/1805.00932; the paper has a threshold of 0.001 for 1,203 classes.
    Cost: one pass over the labels; a permutation each epoch.
    Deviates: an epoch stays N images long, of which each image has its part, rounded up or down by systematic
        resampling; in the paper an epoch grows by the repeats.
    """

    seats = {Slot.SAMPLER: "draw"}
    provides = frozenset({Trait.RESAMPLES})
    threshold: float = tunable(0.1, search=Float(0.001, 0.5, log=True), legal=Between(0, 1),
                               unit="share of images that have the class")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows in random order, drawn anew each epoch."""
        counts = image_counts(labelled_rows(run.targets)[1], run.classes)
        factors = repeat_factors(run.targets, counts, self.threshold)

        def repeated(progress: float) -> Tensor:
            offset = torch.rand(1, generator=run.generator, device=run.device, dtype=torch.float64)
            shuffle = torch.randperm(len(run.targets), generator=run.generator, device=run.device)
            return systematic(factors, offset)[shuffle]
        return repeated
