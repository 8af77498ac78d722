"""Distillation: learn the soft labels of a teacher beside the labels."""
from __future__ import annotations

from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import Trait
from ...core.trick import Advice
from ...functional import distillation


class Distillation(distillation.Student):
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
    advice = (Advice(
        Trait.SMOOTHS_LABELS, "a teacher trained with smoothed labels tells less of how alike classes are; a low "
        "temperature mends it", "Müller et al. 2019, https://arxiv.org/abs/1906.02629, section 4; disputed by Shen et "
        "al. 2021; Chandrasegaran et al. 2022, https://arxiv.org/abs/2206.14532"),)

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss, in part that of the teacher."""
        return distillation.taught(inner, distillation.teacher(run, self.teacher), self.alpha, self.temperature)
