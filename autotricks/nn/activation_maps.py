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
from .classifier import classifier, feature_maps


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


@torch.no_grad()
def training_maps(run: Run, first: int | None = None) -> Tensor:
    """Return the activation map of each training image for its own class, by the model as it is.

    Args:
        run: Holds the model and the images.
        first: Only so many images; all if left out.

    Shapes:
        returns: [N, h, w], float16, in [0, 1].

    Raises:
        ModelError: When the model does not classify the averages of feature maps linearly.
    """
    weights = run.model.get_submodule(classifier(run.model, run.classes)).get_parameter("weight")
    maps = []
    with evaluating(run.model):
        known = run.targets.single[:first].split(CHUNK)
        for images, labels in zip(run.images[:first].split(CHUNK), known, strict=True):
            features = feature_maps(run.model, run.normalize(images))
            if features.shape[1] != weights.shape[1]:
                raise ModelError(
                    f"{type(run.model).__name__} has no class activation maps: its classifier reads "
                    f"{weights.shape[1]} numbers and its last feature maps are {features.shape[1]}. Take a model that "
                    "classifies the averages of its maps, or drop the tricks that need to know where a class is.")
            maps.append(activation_maps(features, weights[labels]).half())
    return torch.cat(maps)


def foreground(maps: Tensor, height: int, width: int, threshold: float) -> Tensor:
    """Return where the maps, bilinearly enlarged, are at least `threshold` times their own mean.

    Shapes:
        maps: [B, h, w], >= 0.
        returns: [B, height, width], bool; true all over where a map is 0 all over.
    """
    enlarged = F.interpolate(maps.float().unsqueeze(1), (height, width), mode="bilinear").squeeze(1)
    return enlarged >= threshold * enlarged.mean((1, 2), keepdim=True)
