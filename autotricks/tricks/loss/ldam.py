"""LDAM: ask of rare classes a larger margin between their cosine and the others'."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.margins import against_others, cosine_scale


def margins(counts: Tensor, largest: float) -> Tensor:
    """Return n^(-1/4) for each class, scaled so that the rarest has `largest`; no images count as one.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], cosines.
    """
    raw = counts.clamp(min=1) ** -0.25
    return largest * raw / raw.max()


def ldam(logits: Tensor, labels: Tensor, lowered: Tensor) -> Tensor:
    """Return the cross-entropy at each label after its own logit was lowered by its class's margin.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        lowered: [C], margins in logits.
        returns: [B, K].
    """
    return against_others(logits.gather(1, labels) - lowered[labels], logits, labels)


class Ldam(Trick):
    """Minimize the cross-entropy of s * (cos - m) at the label and s * cos elsewhere, m its class's margin.

    The margins go with n^(-1/4) and are `max_margin` for the rarest class. Prediction has no margin. The figures of the
    paper need deferred re-weighting beside it: `class_weights` with `start: 0.8`. In a mixture each label has its own
    term and margin.

    Paper: Cao et al. 2019, https://arxiv.org/abs/1906.07413, section 3.2.
    Raises: ModelError when the model has no cosine head.
    Cost: two passes over the logits.
    Deviates: the scale s is that of the cosine head, not the loss's own; one value serves training and evaluation.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    requires = frozenset({Trait.COSINE_HEAD})
    max_margin: float = tunable(0.5, search=Float(0.1, 1.0), legal=Between(0, 2), unit="cosine")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the margin loss of each sample's mixture of labels."""
        lowered = cosine_scale(run.model, self.name) * margins(run.counts, self.max_margin)

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(ldam(logits, batch.targets.labels, lowered))
        return mixed
