"""Slots: the points of a training run that tricks wrap, and the seats inside each.

The training run, with every slot in its place::

    model      = MODEL(model)                                     once
    groups     = PARAMETERS([all parameters])                     once
    optimizer  = OPTIMIZER(build)(groups)                         once
    factor     = SCHEDULE(constant)                               once
    averaged   = AVERAGE(none)                                    once
    for phase in plan.phases:                                     a phase lies between window edges
        enter the tricks whose window opens
        for epoch in phase:
            rows = SAMPLER(shuffle)(progress)
            for step in epoch:
                optimizer.lr = lr * factor(progress)
                batch  = AUGMENT(LOAD(rows), targets of the rows)
                batch  = BATCH(normalize(batch))
                loss   = GRADIENTS(forward, LOSS, backward)(batch)
                optimizer.step(); averaged.update(model)
            report(evaluate(PREDICT(averaged or model)))
        leave the tricks whose window closes

RUNTIME (precision, memory format, accumulation) surrounds all of it.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from .batch import Batch

Groups = list[dict[str, Any]]                   # parameter groups, as torch.optim takes them
Model = nn.Module
Build = Callable[[Groups], Optimizer]           # parameter groups -> optimizer
Schedule = Callable[[float], float]             # progress in [0, 1] -> factor of the learning rate
Average = AveragedModel | None                  # averaged weights
Output = Tensor                                 # what a model says of B images; of their classes logits, [B, C]
Predict = Callable[[Tensor], Output]            # normalized images [B, D, H, W] -> output
Order = Callable[[float], Tensor]               # progress in [0, 1] of the window -> rows of one epoch [N], int64
Load = Callable[[Tensor], Tensor]               # rows [B] -> images in [0, 1], [B, D, H, W]
Augment = Callable[[Batch], Batch]              # a batch with images in [0, 1] -> the same
Mix = Callable[[Batch], Batch]
Loss = Callable[[Output, Batch], Tensor]        # output, batch -> loss of each sample [B]
Gradients = Callable[[Batch], Tensor]           # batch -> mean loss, leaves .grad filled


@dataclass(frozen=True)
class Seat:
    """A named place in a slot; a `single` seat holds one trick at a time, a `required` one is never empty."""

    name: str
    single: bool = False
    required: bool = False


def _seats(words: str) -> tuple[Seat, ...]:
    """`!` marks a single seat, `*` a required one, which is single too."""
    return tuple(Seat(word.rstrip("!*"), word[-1] in "!*", word[-1] == "*") for word in words.split())


class Slot(Enum):
    """A point of the training run; its value is the name of the method that a trick writes for it."""

    RUNTIME = "runtime"
    MODEL = "model"
    PARAMETERS = "parameters"
    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    AVERAGE = "average"
    PREDICT = "predict"
    SAMPLER = "sampler"
    LOAD = "load"
    AUGMENT = "augment"
    BATCH = "batch"
    LOSS = "loss"
    GRADIENTS = "gradients"

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The seats, inner to outer."""
        return SEATS[self]

    @property
    def phased(self) -> bool:
        """Whether the slot is built anew for each phase, so that its tricks may have a window."""
        return self in PHASED

    def seat(self, name: str) -> Seat:
        """Return the seat called `name`; KeyError if there is none."""
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise KeyError(f"{self.value} has no seat {name!r}; it has {', '.join(seat.name for seat in self.seats)}")

    def rank(self, name: str) -> int:
        """Return the place of a seat, counted from the innermost."""
        return self.seats.index(self.seat(name))


SEATS: dict[Slot, tuple[Seat, ...]] = {
    Slot.RUNTIME: _seats("precision! memory compile!"),
    Slot.MODEL: _seats("init! block norm! branch pool! neck! head!"),
    Slot.PARAMETERS: _seats("decay rate"),
    Slot.OPTIMIZER: _seats("base* wrap rate! momentum!"),
    Slot.SCHEDULE: _seats("shape* warmup! floor! restart!"),
    Slot.AVERAGE: _seats("average!"),
    Slot.PREDICT: _seats("adjust! views! suppress!"),
    Slot.SAMPLER: _seats("draw*"),
    Slot.LOAD: _seats("synthesis!"),
    Slot.AUGMENT: _seats("paste! compose! crop! flip color policy! quality erase"),
    Slot.BATCH: _seats("resize! mix!"),
    # Class weights lie inside the target seat: with label smoothing they then weigh every smoothed label, as
    # torch.nn.functional.cross_entropy(weight=, label_smoothing=) does.
    Slot.LOSS: _seats("base* weight! target boxes! teacher! term assign! floor!"),
    Slot.GRADIENTS: _seats("freeze! perturb! shape clip!"),
}
PHASED = frozenset({Slot.SAMPLER, Slot.LOAD, Slot.AUGMENT, Slot.BATCH, Slot.LOSS, Slot.GRADIENTS})
