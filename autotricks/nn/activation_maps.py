"""Class activation maps: where in an image a model sees its class."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.images import CHUNK
from ..core.run import Run
from ..errors import ModelError
from .classifier import classifier, feature_maps, features
from .neck import Pooling

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)    # whose statistics are known
SEEN = 4    # images by which it is found what lies between the maps and the classifier


def activation_maps(features: Tensor, weights: Tensor) -> Tensor:
    """Return the class activation map of each image, the sum of w_f A_f over features f, stretched over [0, 1].

    Paper: Zhou et al. 2016, https://arxiv.org/abs/1512.04150, equation 2.

    Shapes:
        features: [B, F, h, w], A, before they are averaged over the image.
        weights: [B, F], w, the classifier's for the class of each image.
        returns: [B, h, w]; 0 all over where the map is level.
    """
    maps = torch.einsum("bfhw,bf->bhw", features, weights)
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode; then each module is back in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def norm_between(model: nn.Module, head: nn.Module, images: Tensor) -> nn.Module | None:
    """Return the norm between the averages of the last feature maps and the classifier; None where nothing lies there.

    A pooling that a trick put in the place of the average counts as one.

    Args:
        model: In evaluation mode.
        head: Its classifier.
        images: [B, D, H, W], normalized.

    Raises:
        ModelError: When what the classifier reads is neither those averages nor a norm of them.
    """
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []
    watched = [module for module in model.modules() if isinstance(module, (*NORMS, Pooling))]
    hooks = [module.register_forward_hook(lambda module, given, made: seen.append((module, given[0], made)))
             for module in watched]
    try:
        _, read = features(model, head, images)
    finally:
        for hook in hooks:
            hook.remove()
    pooled = [made.flatten(1) for module, _, made in seen if isinstance(module, Pooling)]
    pooled = pooled[-1:] or [feature_maps(model, images).mean((2, 3))]
    if _same(read, pooled[0]):
        return None
    for module, given, made in seen:
        if isinstance(module, NORMS) and _same(given, pooled[0]) and _same(made, read):
            return module
    raise ModelError(f"{type(model).__name__} has no class activation maps: more than a norm lies between the averages "
                     "of its last feature maps and its classifier. Take a ResNet, or drop the tricks that need to know "
                     "where a class is.")


def _same(left: Tensor, right: Tensor) -> bool:
    left = left.flatten(1)
    right = right.flatten(1)
    return left.shape == right.shape and torch.allclose(left, right, rtol=1e-3, atol=1e-4 * float(right.abs().max()))


def normed(maps: Tensor, norm: nn.Module) -> Tensor:
    """Return the feature maps whose averages are what a norm makes of the averages of these.

    What it subtracts and divides by are one number for a feature or for an image, so it goes into the maps as they are.

    Shapes:
        maps: [B, F, h, w].
        returns: the same.
    """
    pooled = maps.mean((2, 3))
    if isinstance(norm, nn.GroupNorm):
        parts = pooled.unflatten(1, (norm.num_groups, -1))
        variance, mean = (each.expand_as(parts).flatten(1) for each in torch.var_mean(parts, 2, False, keepdim=True))
    elif isinstance(norm, nn.LayerNorm):
        variance, mean = torch.var_mean(pooled, 1, False, keepdim=True)
    else:
        variance = norm.get_buffer("running_var")
        mean = norm.get_buffer("running_mean")
    weight = getattr(norm, "weight", None)
    bias = getattr(norm, "bias", None)
    scale = (variance + float(getattr(norm, "eps", 0))).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    return maps * scale.expand_as(pooled)[..., None, None] + shift.expand_as(pooled)[..., None, None]


@torch.no_grad()
def training_maps(run: Run, first: int | None = None) -> Tensor:
    """Return the activation map of each training image for its own class, by the model as it is.

    Args:
        run: Holds the model and the images.
        first: Only so many images; all if left out.

    Shapes:
        returns: [N, h, w], float16, in [0, 1].

    Raises:
        ModelError: When the model does not classify the averages of feature maps, or a norm of them, linearly.
    """
    head = run.model.get_submodule(classifier(run.model, run.classes))
    weights = head.get_parameter("weight")
    maps = list[Tensor]()
    with evaluating(run.model):
        norm = None
        known = run.targets.single[:first].split(CHUNK)
        for images, labels in zip(run.images[:first].split(CHUNK), known, strict=True):
            given = run.normalize(images)
            last = feature_maps(run.model, given)
            if last.shape[1] != weights.shape[1]:
                raise ModelError(
                    f"{type(run.model).__name__} has no class activation maps: its classifier reads "
                    f"{weights.shape[1]} numbers and its last feature maps are {last.shape[1]}. Take a model that "
                    "classifies the averages of its maps, or drop the tricks that need to know where a class is.")
            if not maps:
                norm = norm_between(run.model, head, given[:SEEN])
            last = last if norm is None else normed(last, norm)
            maps.append(activation_maps(last, weights[labels]).half())
    return torch.cat(maps)


def foreground(maps: Tensor, height: int, width: int, threshold: float) -> Tensor:
    """Return where the maps, bilinearly enlarged, are at least `threshold` times their own mean.

    Shapes:
        maps: [B, h, w], >= 0.
        returns: [B, height, width], bool; true all over where a map is 0 all over.
    """
    enlarged = F.interpolate(maps.float().unsqueeze(1), (height, width), mode="bilinear").squeeze(1)
    return enlarged >= threshold * enlarged.mean((1, 2), keepdim=True)
