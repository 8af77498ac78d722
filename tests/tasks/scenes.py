"""Pictures of bright rectangles on gray noise, with COCO annotations: something small in which objects are found."""
import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from autotricks.space.load import load_bundle_file
from autotricks.workflows import train as production

CLASSES = {"red": (250, 30, 30), "blue": (40, 40, 250)}


def scene(draw, width, height):
    """A picture, [H, W, 3], and a class and a box in COCO's words for each rectangle in it."""
    canvas = draw.randint(60, 120, (height, width, 3)).astype(np.uint8)
    objects = []
    for column in range(2):     # side by side, so that none hides another
        wide, tall = draw.randint(width // 6, width // 3), draw.randint(height // 5, height // 2)
        left, top = column * width // 2 + draw.randint(0, width // 2 - wide), draw.randint(0, height - tall)
        number = draw.randint(0, len(CLASSES))
        canvas[top:top + tall, left:left + wide] = [*CLASSES.values()][number]
        objects.append((number, [left, top, wide, tall]))
    return canvas, objects


def coco(root: Path, count=60, width=80, height=60, seed=0) -> str:
    """Write pictures and their annotations; return the data source."""
    draw = np.random.RandomState(seed)
    images, annotations = [], []
    (root / "images").mkdir(parents=True)
    for number in range(count):
        canvas, objects = scene(draw, width, height)
        Image.fromarray(canvas).save(root / "images" / f"{number:03d}.png")
        images.append({"id": number, "file_name": f"{number:03d}.png", "width": width, "height": height})
        annotations += [{"id": len(annotations) + place, "image_id": number, "category_id": kind, "iscrowd": 0,
                         "bbox": [int(edge) for edge in box], "area": int(box[2] * box[3])}
                        for place, (kind, box) in enumerate(objects)]
    said = {"images": images, "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)]}
    (root / "annotations.json").write_text(json.dumps(said))
    return f"coco:{root / 'annotations.json'}"


def trained_in(place, source, model="fcos:resnet8", epochs=1, tricks=None, **data):
    """Train a detector as `autotricks train` does; return its folder and what the training reported."""
    document = {"name": "made", "data": {"source": source, "task": "detection", **data}, "model": {"name": model},
                "tricks": {"adamw": {"lr": 0.01}, **(tricks or {})},
                "training": {"epochs": epochs, "batch_size": 8, "seed": 5}}
    (place / "made.yaml").write_text(yaml.safe_dump(document))
    return place / "kept", production.train(load_bundle_file(str(place / "made.yaml")), place / "kept")
