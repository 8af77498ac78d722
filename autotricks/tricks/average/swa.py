"""SWA: evaluate with the plain mean of models along the last part of training."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Average, Slot
from ...core.trick import Trick
from ...functional.tensor_lists import copy_, lerp_
from ...nn.batch_statistics import reestimate


def due(step: int, begin: float, steps: int, models: int) -> bool:
    """Return whether the model after `step` steps is one of `models` that are spread evenly from `begin` to the end.

    Args:
        step: Steps done.
        begin: Fraction of training after which models count.
        steps: Steps of the whole training; the last model counts always.
        models: How many; every one where there are fewer steps.
    """
    def passed(done: int) -> int:
        return math.floor(max(0.0, done - begin * steps) * models / (steps * (1 - begin)) + 1e-9)
    return passed(step) > passed(step - 1)


class _Mean(AveragedModel):
    """The mean of models; before the first of them, the model itself as it was at the end of the epoch."""

    def __init__(self, run: Run, begin: float, models: int, refresh: Callable[[nn.Module], None]):
        super().__init__(run.model)
        self._run = run
        self._begin = begin
        self._models = models
        self._refresh = refresh

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take in `model` if it is its turn; where an epoch ends, see to it that the mean can be evaluated."""
        run = self._run
        step = round(run.progress * run.steps) + 1
        weights, means = ([weight.detach() for weight in each.parameters()] for each in (model, self.module))
        epoch_ends = step % run.steps_per_epoch == 0
        counts = due(step, self._begin, run.steps, self._models)
        if counts:
            lerp_(means, weights, 1 / (1 + int(self.n_averaged)))
            self.n_averaged += 1
        elif epoch_ends and not int(self.n_averaged):
            copy_(means, weights)
        if epoch_ends:
            for mine, other in zip(self.module.buffers(), model.buffers(), strict=True):
                mine.copy_(other)
            if int(self.n_averaged):
                self._refresh(self.module)


class Swa(Trick):
    """Evaluate and export the mean of `models` models, spread evenly from the fraction `begin` of training to its end.

    Batch norm's statistics are those of none of them, so they are estimated anew for the mean at the end of each
    epoch, over up to `images` training images. Until the first model counts, the model itself is evaluated. Where the
    learning rate falls towards 0 the models are all but one: `constant`, `cyclical` or an `lr_floor` keeps them apart.

    Paper: Izmailov et al. 2018, https://arxiv.org/abs/1803.05407, algorithm 1.
    Cost: one copy of the weights; a forward pass over `images` images an epoch from `begin` on.
    Deviates: Models are as many in a short run as in a long one, where the paper takes one an epoch or a cycle. The
        statistics are those of images as they are, neither augmented nor drawn by the sampler.
    """

    seats = {Slot.AVERAGE: "average"}
    begin: float = tunable(0.75, search=Float(0.5, 0.9), legal=Between(0, 1, without=(1,)), unit="fraction of training")
    models: int = tunable(10, search=Choice(5, 10, 20), legal=at_least(1), unit="models averaged")
    images: int = tunable(4096, search=Choice(4096), legal=at_least(2), unit="training images for batch norm")

    def average(self, inner: Average, run: Run) -> Average:
        """Return an average of the model that nothing is in yet."""
        return _Mean(run, self.begin, self.models, partial(reestimate, run=run, images=self.images))
