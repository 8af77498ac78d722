"""digit_scenes: scenes in which scikit-learn's handwritten digits are to be found; made from a seed in seconds."""
from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..fitting import fitted
from ..settings import Settings
from . import digits
from .raw import Part, Raw, from_arrays

SIDE = 96
SCENES = {"train": 600, "validation": 200, "test": 200}
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}     # of the digits of each class; no split has another's
FEWEST = 4              # digits in a scene
MOST = 12
SMALLEST = 8            # of their sides in pixels
LARGEST = 26
IMBALANCE = 10.0                # of the most frequent class to the rarest
HIDDEN = 0.35                   # of a digit, at most, by those that are laid over it
STROKES = 12                    # of clutter in a scene
ATTEMPTS = 20                   # to find a place for a digit
SEED = 20_261           # of the scenes of data.seed 0; other seeds make others, and deal the digits to splits anew


def read(_: str, settings: Settings) -> Raw:
    """Return 1,000 gray scenes of 96 x 96 pixels with 4 to 12 digits of 8 to 26 pixels, of which some hide others.

    Classes are long-tailed: 0 occurs ten times as often as 9. Digits of train, validation and test are other ones;
    which they are, and all scenes, go with `data.seed`.
    """
    drawn = digits.read("", Settings()).parts["train"]
    labels = np.array([int(name) for name, in drawn.labels])
    pictures = drawn.images.numpy()[:, 0]      # type: ignore[union-attr]
    draw = np.random.RandomState((SEED + settings.seed) % 2 ** 32)
    pools = _pools(labels, draw)
    how = fitted((SIDE, SIDE), settings.size, settings.fit)
    parts = {}
    for split, count in SCENES.items():
        made = [_scene(pictures, pools[split], draw) for _ in range(count)]
        images = from_arrays(split, np.stack([scene for scene, _, _ in made]), settings)
        how = fitted((SIDE, SIDE), settings.size, settings.fit)
        parts[split] = Part(images, [tuple(map(str, names)) for _, names, _ in made], boxes=[
            torch.from_numpy(how.moved(np.array(boxes).reshape(-1, 4))).float() for _, _, boxes in made])
    return Raw(parts, tuple(map(str, range(10))))


def _pools(labels: np.ndarray, draw: np.random.RandomState) -> dict[str, list[np.ndarray]]:
    """Deal the digits of each class to the splits."""
    pools: dict[str, list[np.ndarray]] = {split: [] for split in SHARES}
    for label in range(10):
        rows = draw.permutation(np.flatnonzero(labels == label))
        edges = np.cumsum([int(share * len(rows)) for share in SHARES.values()])[:-1]
        for split, pool in zip(SHARES, np.split(rows, edges), strict=True):
            pools[split].append(pool)
    return pools


def _scene(pictures: np.ndarray, pools: list[np.ndarray],
           draw: np.random.RandomState) -> tuple[np.ndarray, list[int], list[list[float]]]:
    """Return a scene, [96, 96], the digits in it and their boxes."""
    canvas = draw.randint(0, 50, (SIDE, SIDE)).astype(np.float32)
    _clutter(canvas, draw)
    frequency = IMBALANCE ** (-np.arange(10) / 9)
    names: list[int] = []
    boxes: list[list[float]] = []
    for _ in range(draw.randint(FEWEST, MOST + 1)):
        side = int(draw.randint(SMALLEST, LARGEST + 1))
        box = _place(side, boxes, draw)
        if box is None:
            continue
        label = int(draw.choice(10, p=frequency / frequency.sum()))
        picture = Image.fromarray(pictures[draw.choice(pools[label])]).resize((side, side), Image.Resampling.BILINEAR)
        ink = np.asarray(picture, np.float32) / 255
        left, top = map(int, box[:2])
        region = canvas[top:top + side, left:left + side]
        region[:] = region * (1 - ink) + ink * draw.randint(160, 256)
        names.append(label)
        boxes.append(box)
    return np.clip(canvas, 0, 255).astype(np.uint8), names, boxes


def _place(side: int, boxes: list[list[float]], draw: np.random.RandomState) -> list[float] | None:
    """Return a box that hides no more of any other than it may, nor lies under one; None where none was found."""
    for _ in range(ATTEMPTS):
        left, top = draw.randint(0, SIDE - side + 1, 2)
        box = [float(left), float(top), float(left + side), float(top + side)]
        if all(_shared(box, other) <= HIDDEN * min(_area(box), _area(other)) for other in boxes):
            return box
    return None


def _shared(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _clutter(canvas: np.ndarray, draw: np.random.RandomState) -> None:
    """Draw short gray strokes, which are no digits."""
    for _ in range(STROKES):
        row, column = draw.randint(0, SIDE, 2)
        length = draw.randint(3, 16)
        gray = draw.randint(60, 160)
        if draw.rand() < 0.5:
            canvas[row, column:column + length] = gray
        else:
            canvas[row:row + length, column] = gray
