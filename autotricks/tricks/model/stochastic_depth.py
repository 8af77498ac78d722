"""Stochastic depth: train on a network of which random residual branches are missing."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...nn.residual import last_layer, residual_blocks, rooms


def rates(highest: float, blocks: int) -> list[float]:
    """Return the rate of each block: from 0 for the first evenly up to the highest for the last."""
    return torch.linspace(0, highest, blocks, dtype=torch.float64).tolist() if blocks > 1 else [highest]


def dropped(branch: Tensor, rate: float) -> Tensor:
    """Return the branch with that of each image set to 0 with probability `rate`, and others divided by 1 - rate.

    Shapes:
        branch: [B, ...].
        returns: [B, ...].
    """
    kept = branch.new_empty([len(branch)] + [1] * (branch.ndim - 1)).bernoulli_(1 - rate)
    return branch * kept.div_(1 - rate)


class _Dropped(nn.Module):
    """The end of a residual branch that is missing now and then in training."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Return the branch, [B, ...], in training without that of some images."""
        return dropped(branch, self.rate) if self.training and self.rate else branch


class StochasticDepth(Trick):
    """Leave out the residual branch of each image in training, with a rate that rises with depth from 0 to `rate`.

    Shortcuts stay, so that an image goes through a shorter network; what is kept is divided by the probability to be
    kept, and prediction uses all branches as they are. Blocks of timm and torchvision have a place for it, where it is
    put; a ResNet without such a place gets it behind the last normalization of each block.

    Paper: Huang et al. 2016, https://arxiv.org/abs/1603.09382, section 3, with linear decay.
    Cost: one pass over the end of each branch; nothing is saved where a branch is dropped.
    Deviates: an image is dropped by itself, not the whole batch, and branches are scaled in training, not when testing,
        both as in timm and torchvision. The first block is never dropped, as in timm; the paper drops it at `rate` / L.
        It draws from torch's own generator, which checkpoints hold for the CPU.

    Raises:
        ModelError: When the model has no residual branches that it knows.
    """

    seats = {Slot.MODEL: "branch"}
    rate: float = tunable(0.1, search=Float(0.0, 0.5), legal=Between(0, 1, without=(1,)),
                          unit="probability to drop the last branch")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with branches that may be missing."""
        places = rooms(inner)
        for block in [] if places else residual_blocks(inner, self.name):
            name = last_layer(block)
            block.set_submodule(name, nn.Sequential(block.get_submodule(name), nn.Identity()))
            places.append((block.get_submodule(name), ["1"]))
        for (block, names), rate in zip(places, rates(self.rate, len(places)), strict=True):
            for name in names:
                setattr(block, name, _Dropped(rate))
        return inner
