"""Margins between the logit of a label and the others: what losses on a cosine head share."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError


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
    probability = (logits.gather(1, labels) - total).exp().masked_fill(is_first, 0.0)
    return torch.where(is_first, without_first, total + torch.log1p(-probability))


def against_others(own: Tensor, others: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy at each label where its own logit is another one than the rest would see.

    Shapes:
        own: [B, K], logits of the labels.
        others: [B, C], logits of the classes that are not the label.
        labels: [B, K], int64.
        returns: [B, K].
    """
    return F.softplus(log_sum_of_others(others, labels) - own)


def cosine_scale(model: nn.Module, trick: str) -> float:
    """Return the scale of the model's cosine head, which `trick` needs.

    Raises:
        ModelError: When no module has one.
    """
    scales = [module.cosine_scale for module in model.modules() if hasattr(module, "cosine_scale")]
    if not scales:
        raise ModelError(f"{trick}: no module of {type(model).__name__} has a `cosine_scale`; margins need logits that "
                         "are a multiple of cosines. Add cosine_head.")
    return float(scales[-1])  # type: ignore[arg-type]
