"""Scenes of gray and white rectangles on black, as files with COCO annotations."""
from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from .pictures import save

CLASSES = ("gray", "white")
SHADES = (110, 255)


def rectangles(root: Path, counts: dict[str, int], size=(32, 32), each=1, sides=(8, 16)) -> str:
    """Write scenes of `each` rectangles, apart from one another, for each split; return the source.

    The files are of `size`, height and width; a white rectangle and a gray one take turns.
    """
    dice = random.Random(0)
    height, width = size
    for split, count in counts.items():
        images, boxes = [], []
        for number in range(count):
            canvas = np.zeros(size, np.uint8)
            for place in range(each):
                high, wide = dice.randint(*sides), dice.randint(*sides)
                part = width // each
                left, top = place * part + dice.randint(0, part - wide), dice.randint(0, height - high)
                label = (number + place) % 2
                canvas[top:top + high, left:left + wide] = SHADES[label]
                boxes.append({"id": len(boxes) + 1, "image_id": number + 1, "category_id": 7 * (label + 1),
                              "bbox": [left, top, wide, high], "area": wide * high, "iscrowd": 0})
            name = f"{split}_{number:03d}.png"
            save(root / "images" / name, canvas)
            images.append({"id": number + 1, "file_name": name, "width": width, "height": height})
        categories = [{"id": 7 * (label + 1), "name": name} for label, name in enumerate(CLASSES)]
        path = root / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return f"coco:{root}/annotations/instances_{{split}}.json:{root}/images"
