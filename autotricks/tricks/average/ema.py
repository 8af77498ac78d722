"""EMA: evaluate with a moving average of the weights."""
from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Average, Slot
from ...core.trick import Trick
from ...functional.tensor_lists import lerp_


def kept(count: int, decay: float) -> float:
    """Return the share of the average that stays when a model is added to `count` others: less while they are few."""
    return min(decay, (1 + count) / (10 + count)) if count else 0.0


def move(averages: list[Tensor], values: list[Tensor], decay: float) -> None:
    """Keep `decay` of each average and add the rest of its value, in place; what is not a real number is copied."""
    real = [index for index, average in enumerate(averages) if average.is_floating_point()]
    lerp_([averages[index] for index in real], [values[index] for index in real], 1 - decay)
    for average, value in zip(averages, values, strict=True):
        if not average.is_floating_point():
            average.copy_(value)


def tensors(model: nn.Module) -> list[Tensor]:
    """Return the weights and buffers of a model."""
    return list(chain(model.parameters(), model.buffers()))


class _Moving(AveragedModel):
    """An exponential moving average of weights and buffers.

    torch's own averaging moves its counter to the device and waits for it at every step, and truncates whole numbers.
    The tensors are looked up once, as the optimizer's are: walking through a small model takes longer than a move.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model, use_buffers=True)
        self.decay = decay
        self._averages = tensors(self.module)
        self._followed = [model]
        self._values = tensors(model)  # in a list: its weights are not these ones

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards `model`."""
        if self._followed != [model]:
            self._followed = [model]
            self._values = tensors(model)
        move(self._averages, self._values, kept(int(self.n_averaged), self.decay))
        self.n_averaged += 1


class Ema(Trick):
    """Evaluate and export the moving average e = d * e + (1 - d) * w, taken after every step.

    With n models in the average d is min(`decay`, (1 + n) / (10 + n)), so that in a short run the first weights are
    forgotten in time. Batch-norm statistics are averaged as weights are; whole numbers are copied.

    Paper: Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780, equation 1; after Polyak and Juditsky 1992,
        https://doi.org/10.1137/0330046.
    Cost: one copy of the weights and one pass over them a step.
    Deviates: the first model is taken whole; d rises to `decay` as in TensorFlow's ExponentialMovingAverage.
    """

    seats = {Slot.AVERAGE: "average"}
    decay: float = tunable(0.999, search=Float(0.9, 0.9999), legal=Between(0, 1, without=(1,)),
                           unit="share of the average kept a step")

    def average(self, inner: Average, run: Run) -> Average:
        """Return an average of the model that nothing is in yet."""
        return _Moving(run.model, self.decay)
