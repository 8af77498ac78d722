"""LDAM: ask of rare classes a larger margin between their cosine and the others'."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.trick import Trait, Trick
from ...errors import ModelError


def margins(counts: Tensor, largest: float) -> Tensor:
    """Return n^(-1/4) for each class, scaled so that the rarest has `largest`; no images count as one.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], cosines.
    """
    raw = counts.clamp(min=1) ** -0.25
    return largest * raw / raw.max()


def log_sum_of_others(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log of the sum of e^z over all classes but the label, for each label, without a tensor [B, K, C].

    A class other than the first holds at most half of the sum, so its share can be taken off; the first is left out.

    Shapes:
        logits: [B, C], C >= 2.
        labels: [B, K], int64.
        returns: [B, K].
    """
    first = logits.argmax(1, keepdim=True)
    total = logits.logsumexp(1, keepdim=True)
    without_first = logits.scatter(1, first, -torch.inf).logsumexp(1, keepdim=True)
    is_first = labels == first
    # zero where unused: log(1 - 1) there would turn the gradient into nan
    share = (logits.gather(1, labels) - total).exp().masked_fill(is_first, 0.0)
    return torch.where(is_first, without_first, total + torch.log1p(-share))


def ldam(logits: Tensor, labels: Tensor, lowered: Tensor) -> Tensor:
    """Return the cross-entropy at each label after its own logit was lowered by its class's margin.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        lowered: [C], margins in logits.
        returns: [B, K].
    """
    return F.softplus(log_sum_of_others(logits, labels) - logits.gather(1, labels) + lowered[labels])


def cosine_scale(model: nn.Module) -> float:
    """Return the scale of the model's cosine head.

    Raises:
        ModelError: When no module has one.
    """
    found = [module.cosine_scale for module in model.modules() if hasattr(module, "cosine_scale")]
    if not found:
        raise ModelError(f"ldam: no module of {type(model).__name__} has a `cosine_scale`; margins need logits that "
                         "are a multiple of cosines. Add cosine_head.")
    return float(found[-1])  # type: ignore[arg-type]


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
    needs = frozenset({Trait.COSINE_HEAD})
    max_margin: float = tunable(0.5, search=Float(0.1, 1.0), legal=Between(0, 2), unit="cosine")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the margin loss of each sample's mixture of labels."""
        lowered = cosine_scale(run.model) * margins(run.counts, self.max_margin)

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(ldam(logits, batch.labels, lowered))
        return mixed
