"""What augmentation costs where boxes move with the pixels, against torchvision's v2 transforms.

From uint8 images in memory with eight boxes each to a float32 batch in [0, 1] with its boxes: ours, all images of a
batch at once, and v2's of tensors with `BoundingBoxes`, one image after another, sanitized and stacked. The same
operation with the same parameters, in turn; images per CPU second. For mosaics and copies v2 has no form: they are set
against a crop of ours. What the batch alone takes, without any augmentation, is the most that any ratio could be.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from machine import Arm, Row, Target, conclude, parser, ratio_row, take_turns
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from autotricks.core.batch import Batch
from autotricks.core.run import Run
from autotricks.core.slots import Augment
from autotricks.core.targets import Targets
from autotricks.tasks.detection import DETECTION
from autotricks.tricks.catalog import make

CHANNELS, OBJECTS, CLASSES, PADDING = 3, 8, 10, 4
SETTINGS = ((16, 96), (64, 96), (16, 256), (64, 256))       # images of a batch, pixels of a side
ROUNDS, AT_A_TIME = 7, 128     # images for which an arm works in a round
FASTER = Target(least=10.0)
BILINEAR = v2.InterpolationMode.BILINEAR


def operations(side: int) -> dict[str, tuple[str, Mapping[str, Any], v2.Transform]]:
    """Return what is compared: a trick of ours with its values, and v2's transform."""
    return {
        "flip": ("flip", {}, v2.RandomHorizontalFlip(0.5)),
        "affine": ("random_affine", {"degrees": 15.0, "scale": 0.1, "shift": 0.1},
                   v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), interpolation=BILINEAR)),
        "crop": ("crop", {"padding": PADDING}, v2.RandomCrop(side, padding=PADDING)),
        "resized crop": ("random_resized_crop", {"smallest": 0.25}, v2.RandomResizedCrop(side, (0.25, 1))),
        "scale jitter": ("scale_jitter", {}, v2.Compose([
            v2.ScaleJitter((side, side), antialias=False), v2.RandomCrop(side, pad_if_needed=True)])),
        "IoU crop": ("random_iou_crop", {}, v2.Compose([v2.RandomIoUCrop(), v2.Resize((side, side))]))}


def scenes(count: int, side: int) -> tuple[Tensor, Targets]:
    """Return random images, uint8, and eight boxes in each, of a tenth to a third of its side."""
    chance = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, CHANNELS, side, side), dtype=torch.uint8, generator=chance)
    sizes = side * (0.1 + 0.23 * torch.rand(count, OBJECTS, 2, generator=chance))
    corners = (side - sizes) * torch.rand(count, OBJECTS, 2, generator=chance)
    labels = torch.randint(CLASSES, (count, OBJECTS), generator=chance)
    return images, Targets(labels, torch.ones(count, OBJECTS), torch.cat([corners, corners + sizes], 2))


def made(name: str, values: Mapping[str, Any], images: Tensor, targets: Targets) -> Augment:
    """Return a trick's augmentation of a batch."""
    depth, height, width = images.shape[1:]
    nothing = torch.zeros(depth, 1, 1)
    run = Run(model=torch.nn.Identity(), images=images, targets=targets, counts=torch.ones(CLASSES), mean=nothing + 0.5,
              std=nothing + 0.25, task=DETECTION, image_shape=(depth, height, width), batch_size=len(images), epochs=1,
              steps_per_epoch=1, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    trick: Any = make(name, values).trick
    augment: Augment = trick.augment(lambda batch: batch, run)
    return augment


def together(augment: Augment, images: Tensor, targets: Targets, batches: int) -> None:
    """Augment so many batches, all images of each at once."""
    rows = torch.arange(len(images))
    for _ in range(batches):
        augment(Batch(images.index_select(0, rows).float().div_(255), targets[rows], rows))


def one_by_one(transform: Callable[[Any], Any], images: Tensor, targets: Targets, batches: int) -> None:
    """Augment so many batches, image after image, as a data loader's worker does."""
    side = images.shape[-1]
    assert targets.boxes is not None
    for _ in range(batches):
        done = [transform({"image": tv_tensors.Image(image), "labels": labels, "boxes": tv_tensors.BoundingBoxes(
            boxes, format="XYXY", canvas_size=(side, side))})       # type: ignore[call-overload]
            for image, labels, boxes in zip(images, targets.labels, targets.boxes, strict=True)]
        torch.stack([sample["image"] for sample in done])


def finished(transform: v2.Transform) -> v2.Transform:
    """Return the transform with what follows it in training: boxes sanitized, pixels in [0, 1]."""
    return v2.Compose([transform, v2.SanitizeBoundingBoxes(), v2.ToDtype(torch.float32, scale=True)])


def measure(quick: bool) -> list[Row]:
    """Return how many times as many images a CPU second ours moves, for each operation and size."""
    rows = []
    for count, side in SETTINGS[:1] if quick else SETTINGS:
        images, targets = scenes(count, side)
        batches = 1 if quick else AT_A_TIME // count
        work = partial(together, images=images, targets=targets, batches=batches)
        for what, (name, values, transform) in operations(side).items():
            arms: dict[str, Arm] = {"ours": partial(work, made(name, values, images, targets)),
                                    "v2": partial(one_by_one, finished(transform), images, targets, batches)}
            seconds = take_turns(arms, 2 if quick else ROUNDS)
            row = ratio_row(f"{count} of {side}", seconds, ("ours", "v2"), FASTER, batches * count)
            rows.append(Row(row.setting, f"{what}: {row.what}", row.figure, target=row.target, note=row.note,
                            details=row.details))
        arms = {"batch alone": partial(work, lambda batch: batch),
                "v2": partial(one_by_one, finished(v2.RandomHorizontalFlip(0.5)), images, targets, batches)}
        seconds = take_turns(arms, 2 if quick else ROUNDS)
        rows.append(ratio_row(f"{count} of {side}", seconds, ("batch alone", "v2"), None, batches * count))
        against = {"mosaic": partial(work, made("mosaic", {}, images, targets)),
                   "copy_paste": partial(work, made("copy_paste", {"largest": 0.2}, images, targets)),
                   "crop": partial(work, made("crop", {"padding": PADDING}, images, targets))}
        seconds = take_turns(against, 2 if quick else ROUNDS)
        rows += [ratio_row(f"{count} of {side}", seconds, (name, "crop"), None, batches * count)
                 for name in ("mosaic", "copy_paste")]
    return rows


if __name__ == "__main__":
    sys.exit(conclude({"boxes": measure}, parser(__doc__).parse_args()))
