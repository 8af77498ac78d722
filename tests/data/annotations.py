"""Scenes with objects, written on the spot in each format of annotations."""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .pictures import save

BRIGHT = 255
NAMES = ("cell", "plate")


@dataclass(frozen=True)
class Scene:
    """A dark image with bright rectangles: what is in it, each with left, top, right and bottom."""

    name: str
    size: tuple[int, int]           # width and height
    objects: tuple[tuple[str, int, int, int, int], ...] = ()
    split: str = "train"

    def pixels(self) -> np.ndarray:
        width, height = self.size
        values = np.random.RandomState(sum(self.name.encode())).randint(0, 40, (height, width, 3)).astype(np.uint8)
        for _, left, top, right, bottom in self.objects:
            values[top:bottom, left:right] = BRIGHT
        return values


SCENES = (Scene("a1", (80, 40), (("cell", 10, 4, 30, 20), ("plate", 50, 20, 78, 38))),
          Scene("a2", (40, 60), (("cell", 4, 30, 24, 52),)),
          Scene("a3", (60, 60)),
          Scene("b1", (80, 40), (("plate", 20, 10, 44, 30),), "val"),
          Scene("b2", (40, 80), (("cell", 8, 8, 20, 40), ("plate", 24, 50, 38, 78)), "test"))


def coco(root: Path, scenes=SCENES) -> str:
    """annotations/instances_SPLIT.json and SPLIT/NAME.png."""
    for split in dict.fromkeys(scene.split for scene in scenes):
        own = [scene for scene in scenes if scene.split == split]
        for scene in own:
            save(root / split / f"{scene.name}.png", scene.pixels())
        images = [{"id": 7 + row, "file_name": f"{scene.name}.png", "width": scene.size[0], "height": scene.size[1]}
                  for row, scene in enumerate(own)]
        annotations = [{"id": 100 * row + number, "image_id": 7 + row, "category_id": 3 + NAMES.index(name),
                        "bbox": [left, top, right - left, bottom - top], "iscrowd": 0}
                       for row, scene in enumerate(own)
                       for number, (name, left, top, right, bottom) in enumerate(scene.objects)]
        document = {"images": images, "annotations": annotations,
                    "categories": [{"id": 3 + row, "name": name} for row, name in enumerate(NAMES)]}
        place = root / "annotations" / f"instances_{split}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(document))
    return f"coco:{root}"


def voc(root: Path, scenes=SCENES) -> str:
    """Annotations/NAME.xml, JPEGImages/NAME.png and ImageSets/Main/SPLIT.txt; pixels count from 1 to the last."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        save(root / "JPEGImages" / f"{scene.name}.png", scene.pixels())
        objects = "".join(
            f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for name, left, top, right, bottom in scene.objects)
        (root / "Annotations" / f"{scene.name}.xml").write_text(
            f"<annotation><filename>{scene.name}.png</filename><size><width>{scene.size[0]}</width>"
            f"<height>{scene.size[1]}</height><depth>3</depth></size>{objects}</annotation>")
    for split in dict.fromkeys(scene.split for scene in scenes):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(
            "\n".join(scene.name for scene in scenes if scene.split == split) + "\n")
    return f"voc:{root}"


def yolo(root: Path, scenes=SCENES) -> str:
    """data.yaml, SPLIT/images/NAME.png and SPLIT/labels/NAME.txt."""
    for scene in scenes:
        save(root / scene.split / "images" / f"{scene.name}.png", scene.pixels())
        width, height = scene.size
        lines = [f"{NAMES.index(name)} {(left + right) / 2 / width!r} {(top + bottom) / 2 / height!r} "
                 f"{(right - left) / width!r} {(bottom - top) / height!r}"
                 for name, left, top, right, bottom in scene.objects]
        (root / scene.split / "labels").mkdir(exist_ok=True)
        (root / scene.split / "labels" / f"{scene.name}.txt").write_text("\n".join(lines))
    splits = "".join(f"{split}: {split}/images\n" for split in dict.fromkeys(scene.split for scene in scenes))
    (root / "data.yaml").write_text(f"{splits}nc: 2\nnames: [{', '.join(NAMES)}]\n")
    return f"yolo:{root}"


def table(root: Path, scenes=SCENES) -> str:
    """boxes.csv with a row for each object, and images/NAME.png."""
    lines = ["file,xmin,ymin,xmax,ymax,label,split"]
    for scene in scenes:
        save(root / "images" / f"{scene.name}.png", scene.pixels())
        lines += [f"images/{scene.name}.png,{left},{top},{right},{bottom},{name},{scene.split}"
                  for name, left, top, right, bottom in scene.objects] or [
            f"images/{scene.name}.png,,,,,,{scene.split}"]
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return f"csv:{root / 'boxes.csv'}"


FORMATS = {"coco": coco, "voc": voc, "yolo": yolo, "csv": table}
