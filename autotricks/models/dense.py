"""Dense detectors: a backbone, and at each place of each of its levels what is there and where its edges are.

Papers: Tian et al. 2019, https://arxiv.org/abs/1904.01355 (FCOS); Liu et al. 2016, https://arxiv.org/abs/1512.02325
(each level answers by itself, without a pyramid).
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.dense import grid
from ..errors import ModelError
from .build import check, own_model, plain
from .names import DETECTOR, ModelName, parse
from .resnet import ResNet

WIDTH = 48              # channels of the head
COARSEST = 32           # stride of the last level
PRIOR = 0.01            # probability of each class at first, of Lin et al. 2017, https://arxiv.org/abs/1708.02002
NCHW = "NCHW"
LEVELS = (4, 8, 16, 32)     # strides whose maps of a library's backbone are taken


class Features(nn.Module):
    """A ResNet of ours for larger images: its first convolution leaves every other row and column out.

    Attributes:
        widths: Channels of each level, the ends of the second and third stage.
        strides: Pixels of the image to a place of each level.
    """

    def __init__(self, depth: int, channels: int):
        super().__init__()
        whole = ResNet(depth, 1, channels)
        whole.stem.stride = (2, 2)
        blocks = len(whole.layers) // 3
        self.stem = whole.stem
        self.bn = whole.bn
        self.layers = whole.layers      # named as in the classifier, whose weights then fit
        self.ends = (2 * blocks, 3 * blocks)
        self.widths = (32, 64)
        self.strides = (4, 8)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return maps of strides 4 and 8, from [B, D, H, W]."""
        hidden = F.relu(self.bn(self.stem(images)), inplace=True)
        levels = []
        for number, block in enumerate(self.layers, start=1):
            hidden = block(hidden)
            if number in self.ends:
                levels.append(hidden)
        return levels


class Laterals(nn.Module):
    """What stands between backbone and head: each level by itself goes through a convolution of one place.

    Args:
        widths: Channels of the maps of each level, the finest first.
        width: Channels of the maps that are returned.
    """

    def __init__(self, widths: Sequence[int], width: int):
        super().__init__()
        self.widths = tuple(widths)
        self.width = width
        self.levels = nn.ModuleList(_normalized(inputs, width, 1) for inputs in widths)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return [B, width, h, w] of each level, from [B, widths, h, w]."""
        return [lateral(level) for lateral, level in zip(self.levels, maps, strict=True)]


def _normalized(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Module:
    """Return a convolution of `size` x `size` places with batch norm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs),
                         nn.ReLU(inplace=True))


class Fcos(nn.Module):
    """A detector without anchors that says everything in one tensor.

    All levels share the convolutions of the head, and each has its own batch norm in it: one for all would mix their
    statistics. Published weights of a classifier go into the backbone; see `autotricks.nn.pretrained`.

    Deviates: no pyramid adds what deeper levels found to shallow ones; the trick `feature_pyramid` does. With one,
        detectors that train from scratch for some hundred steps came to a lower average precision (docs/detection.md).

    Args:
        backbone: Images to a list of maps; see `Features`.
        widths: Channels of each map.
        strides: Of each map.
        classes: Number of classes C.

    Attributes:
        trunk: The part that weights of a classifier go into; see `autotricks.nn.classifier`.
        neck: From the maps of all levels to those that the head takes.
        strides: Of each level: those of the maps, and of further levels up to `COARSEST`.
    """

    trunk = "backbone"

    def __init__(self, backbone: nn.Module, widths: tuple[int, ...], strides: tuple[int, ...], classes: int):
        super().__init__()
        self.backbone = backbone
        further = int(math.log2(COARSEST / strides[-1]))
        self.strides = strides + tuple(strides[-1] * 2 ** number for number in range(1, further + 1))
        self.further = nn.ModuleList(_normalized(widths[-1], widths[-1], 3, stride=2) for _ in range(further))
        self.neck = Laterals(widths + further * widths[-1:], WIDTH)
        self.tower = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(WIDTH) for _ in self.strides)
        self.head = nn.Conv2d(WIDTH, classes, 3, padding=1)
        self.center = nn.Conv2d(WIDTH, 1, 3, padding=1)
        self.edges = nn.Conv2d(WIDTH, 4, 3, padding=1)      # left, top, right and bottom
        self.scales = nn.Parameter(torch.ones(len(self.strides)))
        for layer in (self.head, self.center, self.edges):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)      # type: ignore[arg-type]
        nn.init.constant_(self.head.bias, -math.log((1 - PRIOR) / PRIOR))   # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)      # a step is a quarter faster so on a CPU, whatever images are

    def get_classifier(self) -> nn.Module:
        """Return the layer that maps features to logits, as timm's models do."""
        return self.head

    def forward(self, images: Tensor) -> Tensor:
        """Return, of each place of each level, logits of the classes, centerness, a box, and where the place is.

        Shapes:
            images: [B, D, H, W].
            returns: [B, A, C + 8]: C logits; the logit of the centerness; left, top, right, bottom in pixels; x, y and
                stride of the place.
        """
        levels = list(self.backbone(images))
        for halved in self.further:
            levels.append(halved(levels[-1]))
        return torch.cat([self._level(number, maps) for number, maps in enumerate(self.neck(levels))], 1)

    def _level(self, number: int, maps: Tensor) -> Tensor:
        hidden = F.relu(self.norms[number](self.tower(maps)), inplace=True)
        stride = self.strides[number]
        places = grid(maps.shape[-2], maps.shape[-1], stride, maps)
        distances = F.softplus(self.scales[number] * self.edges(hidden)).flatten(2).mT * stride      # [B, A, 4]
        points = places[:, :2]
        return torch.cat([self.head(hidden).flatten(2).mT, self.center(hidden).flatten(2).mT,
                          points - distances[..., :2], points + distances[..., 2:],
                          places.expand(maps.shape[0], -1, -1)], 2)


def build_detector(name: str, classes: int, channels: int, trust: bool = False) -> nn.Module:
    """Build a detector with fresh weights; what its backbone's library does to train better is off, see `build`.

    Args:
        name: `fcos:resnet20` and the like, of ours, `fcos:timm:NAME`, or `my.module:function`, which is called with
            `classes` and `channels` and returns a module from images to what `autotricks.core.dense` describes.
        classes: Number of classes.
        channels: Of an image.
        trust: Whether `my.module:function` may be imported.

    Raises:
        ModelError: When there is no such model, or it gives no maps.
    """
    check(name, trust, objects=True)
    parts = parse(name)
    if not parts.head:
        return own_model(name, classes, channels)
    if not parts.library:
        features = Features(int(parts.architecture.removeprefix("resnet")), channels)
        return Fcos(features, features.widths, features.strides, classes)
    return _timm(parts, classes, channels)


def _timm(name: ModelName, classes: int, channels: int) -> Fcos:
    """Return a detector around a model of timm, of which each stride gives its last maps."""
    if not name.architecture:
        raise ModelError(f"model.name: {name}: which architecture it is only the hub knows. A search asks it; write "
                         f"{DETECTOR}:timm:ARCHITECTURE@{name.repository} to name it yourself.")
    try:
        levels = list(_features(name, channels).feature_info)
        last = {level["reduction"]: place for place, level in enumerate(levels) if level["reduction"] in LEVELS}
        backbone = _features(name, channels, sorted(last.values()))
    except Exception as error:      # whatever a library raises of its arguments
        why = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise ModelError(f"model.name: {name} gives no maps of features: {why}. Take another backbone.") from error
    if not last or str(getattr(backbone, "output_fmt", NCHW)) not in (NCHW, f"Format.{NCHW}"):
        strides = ", ".join(map(str, LEVELS))
        raise ModelError(f"model.name: {name} gives no maps [B, F, h, w] of a stride of {strides}. Take another "
                         "backbone, a convolutional one.")
    return Fcos(plain(backbone), tuple(levels[place]["num_chs"] for place in last.values()), tuple(last), classes)


def _features(name: ModelName, channels: int, levels: Sequence[int] = ()) -> Any:
    """Return a model of timm that gives maps of some levels; of the library's own choice where none are named."""
    import timm

    options = {**name.arguments, **({"out_indices": levels} if levels else {})}
    return timm.create_model(name.architecture, features_only=True, in_chans=channels, **options)
