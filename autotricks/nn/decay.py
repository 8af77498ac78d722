"""Which weights of a model are pulled towards zero: those of its layers, not biases, scales, tokens and tables."""
from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from torch import nn

# What torchvision's training script and the papers spare, for models that do not say themselves what is spared.
SPARED = ("*class_token", "*cls_token", "*pos_embed", "*pos_embedding", "*relative_position_bias_table", "*layer_scale")


def decayed(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return by name the weights of a model that decay: of two dimensions or more and not spared.

    Biases are spared, and what the model, or a part of it, names in `no_weight_decay` as timm's models do: tokens and
    tables of positions. Of a model that names nothing, those that are called so.
    """
    said = list(_said(model))
    spared = said if any(callable(getattr(part, "no_weight_decay", None)) for part in model.modules()) else SPARED
    return {name: weight for name, weight in model.named_parameters()
            if weight.ndim > 1 and name.split(".")[-1] != "bias"
            and not any(fnmatchcase(name, pattern) for pattern in spared)}


def _said(model: nn.Module) -> Iterator[str]:
    """Yield the names, or patterns of names, that parts of the model spare."""
    for prefix, part in model.named_modules():
        ask = getattr(part, "no_weight_decay", None)
        for name in ask() if callable(ask) else ():
            yield f"{prefix}.{name}" if prefix else name
