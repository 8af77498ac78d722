"""WiSE-FT: evaluate between the weights that training began with and those that it came to."""
from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Average, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.tensor_lists import copy_, lerp_
from ...nn.batch_statistics import reestimate


class _Ensemble(AveragedModel):
    """The weights between those of the start and those of a model, taken where an epoch ends."""

    def __init__(self, run: Run, alpha: float, images: int):
        super().__init__(run.model)
        self.start = copy.deepcopy(self.module)
        self._run = run
        self._alpha = alpha
        self._images = images

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take `model` where an epoch ends, and see to it that what lies between can be evaluated."""
        run = self._run
        if (round(run.progress * run.steps) + 1) % run.steps_per_epoch:
            return
        start, end, between = ([weight.detach() for weight in each.parameters()]
                               for each in (self.start, model, self.module))
        copy_(between, start)
        lerp_(between, end, self._alpha)
        for mine, other in zip(self.module.buffers(), model.buffers(), strict=True):
            mine.copy_(other)
        if self._alpha < 1:
            reestimate(self.module, run, self._images)
        self.n_averaged += 1


class WiseFt(Trick):
    """Evaluate and export (1 - `alpha`) * w0 + `alpha` * w, w0 the weights at the start and w those that were trained.

    What the file knew of images unlike those at hand is lost in fine-tuning; half-way back much of it returns, and
    images like these are often told apart better too. The classifier is averaged with its own start: `head_init` of
    zeros only makes its logits smaller. Batch norm's statistics are those of neither, so they are estimated anew at the
    end of each epoch, over up to `images` training images.

    Paper: Wortsman et al. 2022, https://arxiv.org/abs/2109.01903, equation 1, which advises `alpha` 0.5.
    Cost: two copies of the weights; a pass over them and a forward pass over `images` images an epoch.
    Deviates: the classifier of the paper is made of words and is as good as trained at the start. With `lora` the two
        factors are averaged, not their product.
    """

    seats = {Slot.AVERAGE: "average"}
    requires = frozenset({Trait.PRETRAINED})
    alpha: float = tunable(0.5, search=Float(0.2, 1.0), legal=Between(0, 1, without=(0,)), unit="share of the end")
    images: int = tunable(4096, search=Choice(4096), legal=at_least(2), unit="training images for batch norm")

    def average(self, inner: Average, run: Run) -> Average:
        """Return what holds the weights of the start."""
        return _Ensemble(run, self.alpha, self.images)
