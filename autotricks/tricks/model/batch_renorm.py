"""Batch renormalization: normalize in training as in evaluation, and let the batch have its say in the gradient."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.domain import Above, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.fusing import Fusible
from ...nn.normalization import copy_state, replace_norms, statistics, track

HOLD = 1 / 8
REACHED = 5 / 8    # of the ramp: the paper's 5,000 steps of batch norm and 25,000 until d_max, of 40,000


def corrections(batch: tuple[Tensor, Tensor], running: tuple[Tensor, Tensor], r_max: Tensor,
                d_max: Tensor) -> tuple[Tensor, Tensor]:
    """Return r and d, with which x' = (x - mean of batch) / std of batch becomes r x' + d.

    r = std of batch / running std within [1 / r_max, r_max], d = (mean of batch - running mean) / running std within
    [-d_max, d_max].

    Shapes:
        batch: mean and standard deviation, [D] each.
        running: mean and standard deviation, [D] each.
        r_max: [], >= 1.
        d_max: [], >= 0.
        returns: [D] and [D].
    """
    mean, std = batch
    running_mean, running_std = running
    return (std / running_std).clamp(1 / r_max, r_max), ((mean - running_mean) / running_std).clamp(-d_max, d_max)


class _Renorm(nn.BatchNorm2d, Fusible):
    """Batch norm that is corrected towards the running statistics while it trains."""

    limits = (1.0, 0.0)     # of r and d once the ramp is done
    ramp = 0.0              # in forward passes

    def forward(self, images: Tensor) -> Tensor:
        """Normalize [B, D, H, W]."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(images)
        with torch.no_grad():
            var, mean = statistics(images.to(self.running_var.dtype))
            stds = (var + self.eps).sqrt(), (self.running_var + self.eps).sqrt()
            r, d = corrections((mean, stds[0]), (self.running_mean, stds[1]), *self._limits())
            track(self, var, mean)
        # r x' + d, scaled and shifted, is batch norm with another scale and shift
        scale, shift = (self.weight, self.bias) if self.affine else (torch.ones_like(r), torch.zeros_like(d))
        return F.batch_norm(images, None, None, scale * r, shift + scale * d, True, 0.0, self.eps)

    def _limits(self) -> tuple[Tensor, Tensor]:
        """Return r_max and d_max of this step."""
        assert self.num_batches_tracked is not None and self.running_var is not None
        done = self.num_batches_tracked.to(self.running_var.dtype) / max(1.0, self.ramp)
        return (1 + (self.limits[0] - 1) * ((done - HOLD) / (1 - HOLD)).clamp(0, 1),
                self.limits[1] * ((done - HOLD) / (REACHED - HOLD)).clamp(0, 1))

    def fused(self) -> nn.BatchNorm2d:
        """Return batch norm, which is what this is in evaluation."""
        plain = nn.BatchNorm2d(self.num_features, self.eps, self.momentum, self.affine)
        copy_state(plain, self)
        return plain


class BatchRenorm(Trick):
    """Normalize training images by running statistics, as in evaluation, within bounds around those of the batch.

    x' = (x - mean of batch) / std of batch becomes r x' + d, where r and d, clipped by `r_max` and `d_max` and without
    gradient, undo the difference between the batch and the running statistics. So a small batch, or one whose images
    are not drawn alike, trains what will be evaluated. With r_max 1 and d_max 0 it is batch norm, and it begins as
    that: the bounds open from 1/8 of the `ramp` on, d_max is reached at 5/8 and r_max at its end.

    Paper: Ioffe 2017, https://arxiv.org/abs/1702.03275, algorithm 1 and section 4.
    Raises: ModelError when the model has no batch norm.
    Cost: one more pass over the activations.
    Deviates: The running statistics are the mean and the variance, with the momentum of the layer replaced; the paper
        averages the standard deviation and takes 0.01. As in its algorithm 1 that of the batch is divided by n, so
        that r is 1 where batch and running statistics agree; torch's batch norm notes n / (n - 1) times as much. The
        ramp counts forward passes: where memory forces a batch apart, or an optimizer takes two passes a step, it is
        through earlier.
    """

    seats = {Slot.MODEL: "norm"}
    provides = frozenset({Trait.SMALL_BATCHES})
    r_max: float = tunable(3.0, search=Float(1.0, 3.0), legal=at_least(1), unit="ratio of standard deviations")
    d_max: float = tunable(5.0, search=Float(0.0, 5.0), legal=at_least(0), unit="running standard deviations")
    ramp: float = tunable(0.3, search=Float(0.05, 0.5), legal=Above(0), unit="fraction of training until r_max")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with batch renormalization in the place of batch norm."""
        def renormalized(norm: nn.BatchNorm2d) -> nn.Module:
            new = _Renorm(norm.num_features, norm.eps, norm.momentum, norm.affine)
            new.limits = (self.r_max, self.d_max)
            new.ramp = self.ramp * run.steps
            copy_state(new, norm)
            return new
        return replace_norms(inner, renormalized, self.name)
