"""DiVE: learn flattened soft labels of a teacher that was trained with balanced softmax."""
from __future__ import annotations

from ...core.domain import Above, Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...functional import distillation


class Dive(distillation.Student):
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
    temperature: float = tunable(3.0, search=Float(1.0, 6.0), legal=Above(0), unit="divisor of the logits")
    power: float = tunable(0.5, search=Choice(0.5, 1.0), legal=Between(0, 1), unit="exponent of the soft labels")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss, in part that of the flattened teacher."""
        taught_by = distillation.teacher(run, self.teacher)
        return distillation.taught(inner, taught_by, self.alpha, self.temperature, self.power)
