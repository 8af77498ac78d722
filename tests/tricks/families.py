"""Small models of timm's, one of each family that people fine-tune: what their blocks and their stem are called."""
from functools import cache
from typing import NamedTuple

import timm

CLASSES = 3


class Family(NamedTuple):
    """Options to build a model with, a pattern of its blocks' names, how many there are, and how its stem begins."""

    options: dict
    block: str
    blocks: int
    stem: str


FAMILIES = {
    "vit_tiny_patch16_224": Family({"img_size": 32, "patch_size": 8}, r"blocks\.\d+\.", 12,
                                   "cls_token|pos_embed|patch_embed"),
    "swin_tiny_patch4_window7_224": Family({"img_size": 56}, r"layers\.\d\.blocks\.\d+\.", 2 + 2 + 6 + 2,
                                           "patch_embed"),
    "convnext_atto": Family({}, r"stages\.\d\.blocks\.\d+\.", 2 + 2 + 6 + 2, "stem"),
    "efficientnet_lite0": Family({}, r"blocks\.\d\.\d+\.", 1 + 2 + 2 + 3 + 3 + 4 + 1, "conv_stem|bn1"),
    "regnetx_002": Family({}, r"s\d\.b\d+\.", 1 + 1 + 4 + 7, "stem"),
    "mobilenetv3_small_050": Family({}, r"blocks\.\d\.\d+\.", 1 + 2 + 3 + 2 + 3 + 1, "conv_stem|bn1"),
    "resnet10t": Family({}, r"layer\d\.\d+\.", 4, "conv1|bn1")}


@cache
def family(name):
    """The model of a family, for `CLASSES` classes; the same one each time."""
    return timm.create_model(name, pretrained=False, num_classes=CLASSES, **FAMILIES[name].options)
