"""CosFace: ask for a margin between the cosine of the label and the others'."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.margins import against_others, cosine_scale


def cosface(logits: Tensor, labels: Tensor, lowered: float) -> Tensor:
    """Return the cross-entropy at each label after its own logit was lowered.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        returns: [B, K].
    """
    return against_others(logits.gather(1, labels) - lowered, logits, labels)


class Cosface(Trick):
    """Minimize the cross-entropy of s * (cos - m) at the label and s * cos elsewhere, with one margin m for all.

    Prediction has no margin. In a mixture each label has its own term. LDAM gives rare classes a larger margin.

    Paper: Wang et al. 2018, https://arxiv.org/abs/1801.09414, equation 4.
    Cost: two passes over the logits.
    Deviates: the scale s is that of the cosine head, 30 unless set, where the paper has 64 for faces.

    Raises:
        ModelError: When the model has no cosine head.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    requires = frozenset({Trait.COSINE_HEAD})
    margin: float = tunable(0.35, search=Float(0.1, 0.5), legal=Between(0, 2), unit="cosine")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the margin loss of each sample's mixture of labels."""
        lowered = cosine_scale(run.model, self.name) * self.margin

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(cosface(logits, batch.targets.labels, lowered))
        return mixed
