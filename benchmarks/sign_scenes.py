"""Scenes of traffic signs over photographs of waste: a third data set in which objects are to be found.

    python benchmarks/sign_scenes.py --data FOLDER --out FOLDER/sign_scenes

FOLDER holds `tiny/gtsrb.npz` and `tiny/trashnet.npz`. Written are PNG files and COCO annotations for each split. Signs
and photographs of a split occur in no other.
"""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 96
SCENES = {"train": 300, "val": 120, "test": 150}
CLASSES = 5             # of signs, the most frequent ones
IMBALANCE = 5.0         # of the most frequent class to the rarest
FEWEST, MOST = 1, 7     # signs in a scene
SMALLEST, LARGEST = 10, 34      # of their sides in pixels
APART = 0.2             # IoU that two signs may have
SEED = 7
Scene = tuple[Image.Image, list[int], list[list[int]]]


def overlap(one: list[int], other: list[int]) -> float:
    """Return the IoU of two boxes: left, top, width, height."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def scene(photograph: Any, signs: list[Any], draw: np.random.RandomState) -> Scene:
    """Return a scene, and class and box of each sign in it."""
    canvas = Image.fromarray(photograph).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    frequency = IMBALANCE ** (-np.arange(CLASSES) / (CLASSES - 1))
    labels: list[int] = []
    boxes: list[list[int]] = []
    for _ in range(draw.randint(FEWEST, MOST + 1)):
        width, height = (int(side) for side in draw.randint(SMALLEST, LARGEST) * np.array([1, draw.uniform(0.8, 1.25)]))
        box = [int(draw.randint(0, SIDE - width)), int(draw.randint(0, SIDE - height)), width, height]
        if any(overlap(box, other) > APART for other in boxes):
            continue
        label = int(draw.choice(CLASSES, p=frequency / frequency.sum()))
        sign = Image.fromarray(signs[label][draw.randint(len(signs[label]))])
        canvas.paste(sign.resize((width, height), Image.Resampling.BICUBIC), (box[0], box[1]))
        labels.append(label)
        boxes.append(box)
    return canvas, labels, boxes


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--out", type=Path, required=True)
    given = words.parse_args()
    draw = np.random.RandomState(SEED)
    with np.load(given.data / "tiny" / "gtsrb.npz") as signs, np.load(given.data / "tiny" / "trashnet.npz") as waste:
        labels, images, photographs = signs["y_train"], signs["x_train"], waste["x_train"]
    chosen = np.argsort(-np.bincount(labels), kind="stable")[:CLASSES]
    pools = [draw.permutation(np.flatnonzero(labels == label)) for label in chosen]
    behind = draw.permutation(len(photographs))
    number = 0
    for place, (split, count) in enumerate(SCENES.items()):
        folder = given.out / split
        folder.mkdir(parents=True, exist_ok=True)
        own = [images[pool[place::len(SCENES)]] for pool in pools]
        images_of: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for row in range(count):
            canvas, names, boxes = scene(photographs[behind[number % len(behind)]], own, draw)
            canvas.save(folder / f"{row:04d}.png")
            images_of.append({"id": row, "file_name": f"{split}/{row:04d}.png", "width": SIDE, "height": SIDE})
            for name, box in zip(names, boxes, strict=True):
                objects.append({"id": len(objects), "image_id": row, "category_id": name, "bbox": box,
                                "area": box[2] * box[3], "iscrowd": 0})
            number += 1
        categories = [{"id": label, "name": f"sign {chosen[label]}"} for label in range(CLASSES)]
        (given.out / f"instances_{split}.json").write_text(json.dumps(
            {"images": images_of, "annotations": objects, "categories": categories}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
