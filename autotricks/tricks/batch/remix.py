"""Remix: mixup that gives the whole label to the rarer of two classes."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Between, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import beta


def label_weight(sizes: Tensor, others: Tensor, keep: Tensor, kappa: float, tau: float) -> Tensor:
    """Return the share of each sample's own label, lambda_y.

    It is 0 where the own class is at least kappa times as large as the partner's and keep < tau; 1 where it is at most
    1 / kappa times as large and 1 - keep < tau; keep elsewhere. Where both hold, which takes kappa = 1 and tau > 1/2,
    it is 0.

    Shapes:
        sizes: [B], images of the sample's class.
        others: [B], images of the partner's class.
        keep: [1], the share of the sample's image.
        returns: [B].
    """
    gives = (sizes >= kappa * others) & (keep < tau)
    takes = (others >= kappa * sizes) & (1 - keep < tau)
    return torch.where(gives, 0.0, torch.where(takes, 1.0, keep))


def remix(batch: Batch, partner: Tensor, keep: Tensor, weight: Tensor) -> Batch:
    """Return keep * image + (1 - keep) * partner, with targets mixed by `weight` in place of keep.

    Shapes:
        batch: of B images with K places each.
        partner: [B], int64, places in the batch.
        keep: [1], in [0, 1].
        weight: [B], in [0, 1].
        returns: of B images with 2K places each.
    """
    images = batch.images.lerp(batch.images[partner], 1 - keep)
    return replace(batch, images=images, targets=batch.targets.blend(partner, weight.unsqueeze(1)))


class Remix(Trick):
    """Mix images as mixup does, but give the whole label to the rarer class where its image has a say.

    It has one where the common class is at least `kappa` times as large and has a share of the image below `tau`;
    tau = 0 is mixup. Like mixup it wants longer training, by half or more.

    Paper: Chou et al. 2020, https://arxiv.org/abs/2007.03943, the definition of lambda_y.
    Cost: one pass over the images; twice the labels.
    """

    seats = {Slot.BATCH: "mix"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.MIXES_LABELS})
    alpha: float = tunable(1.0, search=Float(0.1, 2.0), legal=Above(0), unit="Beta concentration")
    kappa: float = tunable(3.0, search=Float(1.0, 10.0), legal=at_least(1), unit="ratio of class sizes")
    tau: float = tunable(0.5, search=Float(0.0, 1.0), legal=Between(0, 1), unit="share of the common class's image")

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what mixes a batch with a permutation of itself."""
        def mixed(batch: Batch) -> Batch:
            batch = inner(batch)
            partner = torch.randperm(len(batch), generator=run.generator, device=run.device)
            keep = beta(self.alpha, self.alpha, 1, run.generator)
            sizes = (run.counts[batch.targets.labels] * batch.targets.shares).sum(1)
            return remix(batch, partner, keep, label_weight(sizes, sizes[partner], keep, self.kappa, self.tau))
        return mixed
