"""Values for data in which objects are to be found, with the reason for each: size, detector, epochs and batch."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data import objects
from ..models.names import DETECTOR

SIDES = {True: 512, False: 256}     # most pixels a side, by whether there is a GPU
CLEAR = {True: 16, False: 8}        # pixels a side that 95 % of the objects are to have
OURS = 128                          # pixels up to which a GPU trains a network of ours
MANY = 1_000                        # images to train on, from which on the smallest network is too small
EPOCHS = ((1_000, 36), (10_000, 24))    # of fewer training images than this: as published, 3 and 2 schedules of 12
FEWEST_EPOCHS = 12
BATCH = 16                          # of Lin et al. 2017 and Tian et al. 2019; fewer leave batch norm with noise


def size(facts: Mapping[str, Any], gpus: int) -> tuple[dict[str, Any], str]:
    """Return size and fit of the data section, nothing where images are taken as they are, and the reason.

    Args:
        facts: From `data.survey`.
        gpus: Number of them.
    """
    width, height = facts["sizes"]["median"]
    longer = max(width, height)
    most = SIDES[gpus > 0]
    one = facts["sizes"]["distinct"] == 1
    if one and longer <= most:
        whole = width if width == height else [height, width]
        return {} if "array" in facts["formats"] else {"size": whole}, "and are taken as they are."
    clear = CLEAR[gpus > 0]
    side = objects.side(facts["objects"]["smallest"], longer, most, clear)
    shown = facts["objects"]["smallest"] * side
    words = (f"at {side} a side 95% of the objects have {shown:.0f} x {shown:.0f} pixels or more"
             + (f", and a training stays short; {clear} would be clear." if shown < clear else "."))
    if one and width == height:
        return {"size": side}, words
    if one:
        return {"size": [_part(side * height / longer), _part(side * width / longer)], "fit": "pad"}, words
    return {"size": side, "fit": "pad"}, f"{words} data.fit: pad cuts no object off, as crop does."


def _part(side: float) -> int:
    """Return the nearest multiple of the stride."""
    return objects.STRIDE * max(1, round(side / objects.STRIDE))


def detector(side: int, count: int, gpus: int) -> tuple[dict[str, Any], str]:
    """Return the model section, and the reason.

    Args:
        side: Of the images in pixels.
        count: Images to train on.
        gpus: Number of them.
    """
    kind = "From scratch, a detector without anchors (FCOS)"
    if gpus and side > OURS:
        return {"name": f"{DETECTOR}:timm:resnet18"}, f"{kind} on a network made for images of more than {OURS} pixels."
    if gpus or count >= MANY:
        return {"name": f"{DETECTOR}:resnet20"}, (
            f"{kind} on a network for images of any size; {DETECTOR}:timm:resnet18 takes three to four times as long.")
    return {"name": f"{DETECTOR}:resnet8"}, (
        f"{kind} on the smallest network, for less than {MANY:,} images; {DETECTOR}:resnet20 takes a third longer.")


def training(count: int) -> tuple[dict[str, Any], str]:
    """Return the training section for some images to train on, and the reason."""
    epochs = next((number for images, number in EPOCHS if count < images), FEWEST_EPOCHS)
    steps = -(-count // BATCH)
    return {"epochs": epochs, "batch_size": BATCH}, (
        f"{count:,} images to train on: {steps:,} steps an epoch, {steps * epochs:,} in all; the fewer images, the "
        f"more epochs: {FEWEST_EPOCHS}, 24 or 36, and batches of {BATCH}, as published detectors have them.")
