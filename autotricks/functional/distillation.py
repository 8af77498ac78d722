"""Teachers: what tricks share that learn from the soft labels of another model."""
from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.batch import Batch
from ..core.domain import Above, Between, Choice, Float, Text, tunable
from ..core.run import Run
from ..core.slots import Loss, Predict
from ..core.traits import DataTrait, Trait
from ..core.trick import Trick

PREFIX = "teacher."


class Student(Trick):
    """What tricks have in common that learn from a teacher: whom, how much, and what happens at the window's edges."""

    seats = {}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.DISTILLS})
    excludes = frozenset({Trait.MIXES_HIDDEN})
    opens = 0.5
    teacher: str = tunable("", search=Choice(""), legal=Text(
        "a folder with a trained bundle, its champion.yaml, or models:/NAME@ALIAS; empty: the model itself", "bundle"))
    alpha: float = tunable(0.5, search=Float(0.1, 0.9), legal=Between(0, 1), unit="weight of the teacher")
    temperature: float = tunable(4.0, search=Float(1.0, 20.0, log=True), legal=Above(0), unit="divisor of the logits")
    restart: bool = tunable(True, search=Choice(True, False))

    def check(self, run: Run) -> None:
        """Refuse a teacher that is not there, before the first step."""
        if self.teacher:
            teacher(run, self.teacher)

    def enter(self, run: Run) -> None:
        """Make the model its own teacher where no other is named."""
        if not self.teacher:
            begin(run, self.restart)

    def leave(self, run: Run) -> None:
        """Forget a self-made teacher."""
        for name in [name for name in run.memory if name.startswith(PREFIX)]:
            del run.memory[name]


def divergence(student: Tensor, teacher: Tensor, temperature: float, power: float = 1.0) -> Tensor:
    """Return T^2 KL(q || p) of each sample: p the student's softmax at temperature T, q the teacher's, flattened.

    q is the teacher's softmax at T to the power of `power`, normalized again: its softmax at T / power.

    Shapes:
        student: [B, C], logits.
        teacher: [B, C], logits.
        returns: [B].
    """
    log_q = F.log_softmax(teacher * (power / temperature), 1)
    log_p = F.log_softmax(student / temperature, 1)
    return temperature ** 2 * F.kl_div(log_p, log_q, reduction="none", log_target=True).sum(1)


def begin(run: Run, restart: bool) -> None:
    """Make the model as it is the teacher; where `restart`, the student begins with new weights.

    Raises:
        TypeError: When new weights are asked for and the trainer was not given a way to make them.
    """
    run.memory.update({PREFIX + name: value.detach().clone() for name, value in run.model.state_dict().items()})
    if restart:
        if run.fresh is None:
            raise TypeError("a student with new weights needs Supply.fresh; see autotricks.trial.prepare")
        with torch.random.fork_rng([]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=run.generator, device=run.device)))
            run.renew(run.fresh().state_dict())


def teacher(run: Run, address: str) -> Predict:
    """Return the teacher at `address`; without one, the model as it was when the window opened."""
    if address:
        assert run.teacher is not None, "the trainer was given no teachers; see autotricks.trial.prepare"
        return run.teacher(address)
    model = copy.deepcopy(run.model).eval().requires_grad_(False)
    model.load_state_dict({name.removeprefix(PREFIX): value for name, value in run.memory.items()
                           if name.startswith(PREFIX)})
    return model


def taught(inner: Loss, teacher: Predict, alpha: float, temperature: float, power: float = 1.0) -> Loss:
    """Return (1 - alpha) of the loss plus alpha of the divergence from the teacher, who sees the same images."""
    def distilled(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher_logits = teacher(batch.images)
        known = divergence(logits, teacher_logits, temperature, power)
        return (1 - alpha) * inner(logits, batch) + alpha * known
    return distilled
