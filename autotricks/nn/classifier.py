"""Where things are inside a model: its classifier, what goes into it, and the last feature maps."""
from __future__ import annotations

from torch import Tensor, nn

from ..errors import ModelError


def classifier(model: nn.Module, classes: int) -> str:
    """Return the name of the module that maps features to logits: the model's own word for it, else its last one.

    Args:
        model: May say which module it is with timm's `get_classifier`.
        classes: Rows that its weight must have; that of a detector may be a convolution's.

    Raises:
        ModelError: When there is none inside the model.
    """
    ask = getattr(model, "get_classifier", None)
    head = ask() if ask else None
    inside = set(head.modules()) if isinstance(head, nn.Module) else set()
    dense = bool(trunk(model))
    names = [name for name, module in model.named_modules()
             if name and (module in inside or ask is None) and _rows(module, dense) == classes]
    if not names:
        raise ModelError(f"{type(model).__name__} has no layer inside it that maps features to one logit for each of "
                         f"{classes} classes" + (f"; it says that its classifier is {head}." if ask else ".")
                         + " Take another model, or drop the tricks of the classifier.")
    return names[-1]


def _rows(module: nn.Module, dense: bool) -> int:
    weight = getattr(module, "weight", None)
    return len(weight) if isinstance(weight, Tensor) and (weight.ndim == 2 or (dense and weight.ndim == 4)) else 0


def trunk(model: nn.Module) -> str:
    """Return the name of the part of a detector that is a classifier's without its last layers; empty for others."""
    return str(getattr(model, "trunk", ""))


def head_weights(model: nn.Module, classes: int) -> dict[str, nn.Parameter]:
    """Return by name the weights that are made for the classes at hand, and that no pretrained weights bring.

    They are those of the classifier, or all of a detector but its trunk.

    Args:
        model: What is looked at.
        classes: Rows of its classifier.

    Raises:
        ModelError: When it has no classifier.
    """
    inside = trunk(model)
    head = classifier(model, classes)
    return {name: weight for name, weight in model.named_parameters()
            if (not name.startswith(f"{inside}.") if inside else name.startswith(f"{head}."))}


def features(model: nn.Module, head: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the model's logits, [B, C], and the features that went into its classifier `head`, [B, F].

    Shapes:
        images: [B, D, H, W], normalized.
    """
    given: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    try:
        logits = model(images)
    finally:
        hook.remove()
    return logits, given[-1]


def feature_maps(model: nn.Module, images: Tensor) -> Tensor:
    """Return the last feature maps before they are averaged over the image, [B, F, h, w].

    Shapes:
        images: [B, D, H, W], normalized.

    Raises:
        ModelError: When the model has neither `forward_features` nor a global average pooling.
    """
    ask = getattr(model, "forward_features", None)
    maps = ask(images) if ask else _pooled(model, images)
    if getattr(model, "output_fmt", "NCHW") == "NHWC" and isinstance(maps, Tensor) and maps.ndim == 4:  # timm's Swin
        maps = maps.movedim(3, 1)
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        raise ModelError(f"{type(model).__name__} has no feature maps that are averaged over the image: it needs "
                         "forward_features, which returns [B, F, h, w], or torch.nn.AdaptiveAvgPool2d. Take a "
                         "convolutional network.")
    return maps


def _pooled(model: nn.Module, images: Tensor) -> Tensor | None:
    """Return what goes into the model's last pooling."""
    pools = [module for module in model.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    given: list[Tensor] = []
    hooks = [pools[-1].register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))] if pools else []
    model(images)
    for hook in hooks:
        hook.remove()
    return given[-1] if given else None
