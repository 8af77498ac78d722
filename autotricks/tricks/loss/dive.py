"""DiVE: learn flattened soft labels of a teacher that was trained with balanced softmax."""
from __future__ import annotations

from ...core import teaching
from ...core.domain import Above, Between, Choice, Float, Text, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.trick import Trait, Trick


class Dive(Trick):
    """Minimize (1 - alpha) * loss + alpha * T^2 * KL(flattened teacher || student), for long-tailed data.

    The teacher's soft labels, taken to a power below 1 and normalized again, are read as virtual examples of all
    classes: flatter ones have more of the rare classes. Loss and teacher are to be balanced: put `balanced_softmax`
    beside it for the whole training. The teacher is named, or made by the way, as `distillation` says; with `power: 1`
    it is that trick.

    Paper: He et al. 2021, https://arxiv.org/abs/2103.15042, section 3.
    Cost: one more forward pass a step; a second copy of the model.
    Deviates: the paper flattens with a power of 0.5 only where its virtual examples are not flat enough; here `power`
        says it. A self-made teacher takes part of the training's epochs.

    Raises:
        RunError: When there is no such teacher.
        BundleError: When the teacher knows other classes or images.
    """

    seats = {Slot.LOSS: "teacher"}
    brings = frozenset({Trait.DISTILLS})
    refuses = frozenset({Trait.MIXES_HIDDEN})
    opens = 0.5
    teacher: str = tunable("", search=Choice(""), legal=Text(
        "a folder with a trained bundle, its champion.yaml, or models:/NAME@ALIAS; empty: the model itself"))
    alpha: float = tunable(0.5, search=Float(0.1, 0.9), legal=Between(0, 1), unit="weight of the teacher")
    temperature: float = tunable(3.0, search=Float(1.0, 6.0), legal=Above(0), unit="divisor of the logits")
    power: float = tunable(0.5, search=Choice(0.5, 1.0), legal=Between(0, 1), unit="exponent of the soft labels")
    restart: bool = tunable(True, search=Choice(True, False))

    def enter(self, run: Run) -> None:
        """Make the model its own teacher where no other is named."""
        if not self.teacher:
            teaching.begin(run, self.restart)

    def leave(self, run: Run) -> None:
        """Forget a self-made teacher."""
        teaching.end(run)

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss, in part that of the flattened teacher."""
        return teaching.taught(inner, teaching.teacher(run, self.teacher), self.alpha, self.temperature, self.power)
