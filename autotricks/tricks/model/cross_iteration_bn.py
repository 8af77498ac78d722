"""Cross-iteration batch norm: take the statistics of the last few batches together."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.domain import Between, Choice, Float, Int, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.fusing import Fusible
from ...nn.normalization import copy_state, plain_pairs, statistics, track


def pooled(means: Tensor, squares: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance over several batches, without those that are not known or whose variance is negative.

    Shapes:
        means: [k, D], means of x of each batch, the present one first.
        squares: [k, D], means of x^2.
        known: [k], bool; true for the first.
        returns: [D] and [D].
    """
    variances = squares - means.square()
    used = known.unsqueeze(1) & (variances >= 0)
    used = torch.cat([torch.ones_like(used[:1]), used[1:]])
    count = used.sum(0)
    mean = torch.where(used, means, 0.0).sum(0) / count
    spread = variances.clamp(min=0) + (means - mean).square()
    return mean, torch.where(used, spread, 0.0).sum(0) / count


class _CrossIteration(nn.BatchNorm2d, Fusible):
    """Batch norm over the last batches, whose statistics are moved along with the weights of the convolution before.

    A statistic s, noted at weights v, is near the weights w about s + ds/dv (w - v): noted are s - ds/dv v and ds/dv.
    """

    offsets: Tensor     # [2, k - 1, D]: of the means of x and x^2, the latest batch first
    slopes: Tensor      # [2, k - 1, D, weights of one output]
    noted: Tensor       # batches so far, [], int64

    def __init__(self, norm: nn.BatchNorm2d, layer: nn.Conv2d, window: int, burn_in: int):
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        weight = layer.weight.flatten(1)
        self.register_buffer("offsets", torch.zeros(2, window - 1, len(weight)))
        self.register_buffer("slopes", torch.zeros(2, window - 1, *weight.shape))
        self.register_buffer("noted", torch.zeros((), dtype=torch.int64))
        self.burn_in = burn_in
        self._layer = [layer]    # in a list: its weights are not these ones'
        copy_state(self, norm)

    def forward(self, images: Tensor) -> Tensor:
        """Normalize [B, D, H, W], the output of the convolution."""
        weight = self._layer[0].weight
        if not (self.training and torch.is_grad_enabled() and weight.requires_grad):
            return super().forward(images)
        wide = images.to(self.offsets.dtype)
        present = torch.stack([wide.mean((0, 2, 3)), wide.square().mean((0, 2, 3))])
        age = torch.arange(len(self.slopes[0]) + 1, device=images.device)
        known = (age == 0) | ((age <= self.noted) & (self.noted >= self.burn_in))
        flat = weight.detach().flatten(1)
        past = self.offsets + (self.slopes * flat).sum(3)
        means, squares = torch.cat([present.unsqueeze(1), past], 1)
        mean, variance = pooled(means, squares, known)
        self._note(present, weight, flat)
        own = statistics(wide.detach())
        track(self, own[0] * (wide[:, 0].numel() / max(1, wide[:, 0].numel() - 1)), own[1])
        scale = (variance + self.eps).rsqrt() * (self.weight if self.affine else 1)
        shift = (self.bias if self.affine else 0) - mean * scale
        return (wide * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)).to(images.dtype)

    def _note(self, present: Tensor, weight: Tensor, flat: Tensor) -> None:
        """Note statistics, [2, D], and their slopes; an output's weights move its own statistics alone."""
        slopes = torch.stack([torch.autograd.grad(row.sum(), weight, retain_graph=True)[0].flatten(1)
                              for row in present])
        offsets = present.detach() - (slopes * flat).sum(2)
        self.slopes.copy_(torch.cat([slopes.unsqueeze(1), self.slopes], 1)[:, :-1])
        self.offsets.copy_(torch.cat([offsets.unsqueeze(1), self.offsets], 1)[:, :-1])
        self.noted.add_(1)

    def fused(self) -> nn.BatchNorm2d:
        """Return batch norm, which is what this is in evaluation."""
        plain = nn.BatchNorm2d(self.num_features, self.eps, self.momentum, self.affine)
        copy_state(plain, self)
        return plain


class CrossIterationBn(Trick):
    """Normalize by mean and variance over the last `window` batches, each brought up to date with the weights.

    A small batch says little about the statistics of its layer. Those of earlier batches were taken under other
    weights; what the change of the weights of the convolution right before has done to them is made up for to first
    order. Only the present batch has a gradient. Until `burn_in` and with a window of 1 it is batch norm, which
    stays where no convolution comes right before.

    Paper: Yao et al. 2021, https://arxiv.org/abs/2002.05712, section 3.
    Raises: ModelError when no convolution goes into batch norm.
    Cost: two more backward passes through the weights of each convolution, in the forward pass; a step of a ResNet-20
        took three times as long on a CPU. 2 (window - 1) times the weights of the convolutions in memory, in
        checkpoints and, unless it was fused, in what is exported.
    Deviates: As in the authors' code, https://github.com/Howal/Cross-iterationBatchNorm, a batch whose variance becomes
        negative is left out, where the paper takes it for 0, and running statistics are those of the present batch.
        Unlike it, batches are noted before `burn_in` too, so that the first step after it has a full window, not one
        batch; what is divided by is sqrt(variance + eps), as in the paper and in batch norm, which this becomes when
        fused, not sqrt(variance) + eps; and until then the variance is batch norm's, not n / (n - 1) times it. Steps
        before `burn_in` count forward passes.
    """

    seats = {Slot.MODEL: "norm"}
    provides = frozenset({Trait.SMALL_BATCHES, Trait.INNER_GRADIENTS})
    window: int = tunable(4, search=Choice(2, 4, 8), legal=Int(1, 64), unit="batches, the present one included")
    burn_in: float = tunable(0.1, search=Float(0.0, 0.5), legal=Between(0, 1), unit="fraction of training")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with cross-iteration batch norm behind its convolutions."""
        for _, layer, norm_name, norm in plain_pairs(inner, run.image_shape, self.name):
            inner.set_submodule(norm_name, _CrossIteration(norm, layer, self.window, round(self.burn_in * run.steps)))
        return inner
