"""Circle softmax: ask of each cosine the more, the further it is from where it should be."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Advice, Trick
from ...functional.margins import against_others, cosine_scale


def circle(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
    """Return the cross-entropy at each label with its logit s [1 + m - c]+ (c - 1 + m) and others' s [c + m]+ (c - m).

    The factors [.]+ are weights: nothing is learned through them.

    Args:
        cosines: c.
        labels: Classes.
        scale: s.
        margin: m.

    Shapes:
        cosines: [B, C], in [-1, 1].
        labels: [B, K], int64.
        returns: [B, K].
    """
    own = cosines.gather(1, labels)
    pulled = scale * (1 + margin - own.detach()).clamp(min=0) * (own - 1 + margin)
    pushed = scale * (cosines.detach() + margin).clamp(min=0) * (cosines - margin)
    return against_others(pulled, pushed, labels)


class CircleSoftmax(Trick):
    """Minimize cross-entropy in which the cosine of the label is pulled towards 1, the others' pushed towards 0.

    Each is weighed by how far it still has to go, to within the margin m. Prediction is by plain cosines. In a mixture
    each label has its own term.

    Paper: Sun et al. 2020, https://arxiv.org/abs/2002.10857, equation 6 with class weights for partners, and section
        3.3 for its margins.
    Cost: three passes over the logits.
    Deviates: Predictions, and with them the calibration at evaluation, have the scale of the cosine head.

    Raises:
        ModelError: When the model has no cosine head.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    requires = frozenset({Trait.COSINE_HEAD})
    advice = (Advice(
        Trait.REMOVES_PRIOR, "its weights and margins are laid out for cosines, and what it is given or what it leaves "
        "is then no cosine", "Sun et al. 2020, https://arxiv.org/abs/2002.10857: similarities of unit vectors"),)
    margin: float = tunable(0.35, search=Float(0.1, 0.4), legal=Between(0, 1), unit="cosine")
    scale: float = tunable(64.0, search=Float(16.0, 256.0, log=True), legal=Above(0), unit="logit of a cosine of 1")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss of each sample's mixture of labels."""
        unit = cosine_scale(run.model, self.name)

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(circle(logits / unit, batch.targets.labels, self.scale, self.margin))
        return mixed
