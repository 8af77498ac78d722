"""Distillation: learn the soft labels of a teacher beside the labels."""
from __future__ import annotations

from ...core import teaching
from ...core.domain import Above, Between, Choice, Float, Text, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.trick import Advice, Trait, Trick


class Distillation(Trick):
    """Minimize (1 - alpha) * loss + alpha * T^2 * KL(teacher || student), both at temperature T.

    The teacher is what `teacher` names: an exported bundle, or a model of the registry. Without a name it is made by
    the way: the model as it is when the window opens teaches the same model, which begins anew with other weights
    (`restart`) or goes on. A student that begins anew wants `warm_restart` at that moment. The teacher sees the images
    that the student sees, mixed ones too, in evaluation mode.

    Paper: Hinton et al. 2015, https://arxiv.org/abs/1503.02531, section 2; in bags of tricks He et al. 2018,
        https://arxiv.org/abs/1812.01187, section 5.3. A student like its teacher: Furlanello et al. 2018,
        https://arxiv.org/abs/1805.04770.
    Cost: one more forward pass a step; a second copy of the model.
    Deviates: a self-made teacher is the model itself, not its average.

    Raises:
        RunError: When there is no such teacher.
        BundleError: When the teacher knows other classes or images.
    """

    seats = {Slot.LOSS: "teacher"}
    brings = frozenset({Trait.DISTILLS})
    refuses = frozenset({Trait.MIXES_HIDDEN})
    advice = (Advice(
        Trait.SMOOTHS_LABELS, "a teacher trained with smoothed labels tells less of how alike classes are; a low "
        "temperature mends it", "Müller et al. 2019, https://arxiv.org/abs/1906.02629, section 4; disputed by Shen et "
        "al. 2021; Chandrasegaran et al. 2022, https://arxiv.org/abs/2206.14532"),)
    opens = 0.5
    teacher: str = tunable("", search=Choice(""), legal=Text(
        "a folder with a trained bundle, its champion.yaml, or models:/NAME@ALIAS; empty: the model itself"))
    alpha: float = tunable(0.5, search=Float(0.1, 0.9), legal=Between(0, 1), unit="weight of the teacher")
    temperature: float = tunable(4.0, search=Float(1.0, 20.0, log=True), legal=Above(0), unit="divisor of the logits")
    restart: bool = tunable(True, search=Choice(True, False))

    def enter(self, run: Run) -> None:
        """Make the model its own teacher where no other is named."""
        if not self.teacher:
            teaching.begin(run, self.restart)

    def leave(self, run: Run) -> None:
        """Forget a self-made teacher."""
        teaching.end(run)

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss, in part that of the teacher."""
        return teaching.taught(inner, teaching.teacher(run, self.teacher), self.alpha, self.temperature)
