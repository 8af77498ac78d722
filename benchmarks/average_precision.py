"""What average precision costs: ours and pycocotools on the same detections, in CPU seconds of one run.

`python benchmarks/average_precision.py [IMAGES [CLASSES]]`, 5,000 images of 80 classes unless told.

There are 7 objects an image as in COCO, and 36 detections, most of them near an object. Both give AP, and AP of small,
medium and large objects; that they agree is checked.
"""
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from autotricks.tasks.detection.average_precision import SIZES, Comparison, known_mean
from autotricks.tasks.detection.matching import EVERY, Found, Truths
from tests.tasks.detections import theirs

OBJECTS, DETECTIONS = 7, 36


def detections(images, classes, seed=0):
    """Random truths and detections: four of five near an object, of which three of four have its class."""
    draw = np.random.RandomState(seed)
    counts = draw.poisson(OBJECTS, images)
    width = max(1, counts.max())
    corner = draw.rand(images, width, 2) * 400
    boxes = np.concatenate([corner, corner + np.exp(draw.uniform(2, 5.5, (images, width, 2)))], 2)
    counted = np.arange(width) < counts[:, None]
    truths = Truths(boxes, draw.randint(0, classes, (images, width)), counted, np.zeros_like(counted))
    near = (draw.rand(images, DETECTIONS) * np.maximum(counts, 1)[:, None]).astype(int)
    whole = np.take_along_axis(boxes, near[..., None], 1)
    side = (whole[..., 2:] - whole[..., :2]).mean(2, keepdims=True)
    far = np.where(draw.rand(images, DETECTIONS, 1) < 0.8, 0.1, 2.0)
    found = whole + draw.randn(images, DETECTIONS, 4) * side * far
    found[..., 2:] = np.maximum(found[..., 2:], found[..., :2] + 1)
    labels = np.where(draw.rand(images, DETECTIONS) < 0.75, np.take_along_axis(truths.labels, near, 1),
                      draw.randint(0, classes, (images, DETECTIONS)))
    return truths, Found(found, labels, -np.sort(-draw.rand(images, DETECTIONS), 1))


def timed(what):
    """Return what something returns, and the CPU seconds that it takes."""
    started = time.process_time()
    result = what()
    return result, time.process_time() - started


def main(images=5000, classes=80):
    """Print the seconds of both, and check that they agree."""
    truths, found = detections(images, classes)
    areas = (EVERY, *SIZES.values())

    def ours():
        seen = Comparison(truths, found, classes)
        return [known_mean(seen.curves(area).average) for area in areas]
    values, seconds = timed(ours)
    (precision, _), others = timed(lambda: theirs(truths, found, classes))
    expected = [precision[..., place][precision[..., place] > -1].mean() for place in range(len(areas))]
    assert np.allclose(values, expected, rtol=0, atol=1e-9), (values, expected)
    print(f"{images} images, {classes} classes, {int(truths.counted.sum())} objects, {found.scores.size} detections: "
          f"ours {seconds:.2f} s, pycocotools {others:.2f} s; AP {values[0]:.4f}, by size "
          f"{', '.join(f'{value:.4f}' for value in values[1:])}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
