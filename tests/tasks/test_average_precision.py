"""Average precision against pycocotools: real detections, and random cases with all that is awkward."""
import numpy as np
import pytest
import torch

from autotricks.tasks.detection import DETECTION
from autotricks.tasks.detection.average_precision import SIZES, Comparison
from autotricks.tasks.detection.matching import EVERY, Found, Truths

from .detections import CLASSES, said, stored, theirs

AREAS = (EVERY, *SIZES.values())
SIDES = (8, 20, 32, 33, 64, 96, 97, 150)       # 32 and 96: at the edges of two sizes


def case(seed):
    """Truths and what was found: crowds, empty images, ties, equal boxes, sizes at the edge, classes without objects.
    """
    draw = np.random.RandomState(seed)
    images = draw.randint(1, 8)
    places = draw.randint(1, 9)
    ranks = draw.randint(1, 25)
    classes = draw.randint(1, 5)
    shape = (images, places)
    corner = draw.randint(0, 200, (*shape, 2)) / 4
    boxes = np.concatenate([corner, corner + draw.choice(SIDES, (*shape, 2))], 2)
    if places > 1:
        boxes[:, 1] = boxes[:, 0]               # equal boxes, perhaps of one class
    kind = draw.choice(3, shape, p=draw.dirichlet((4, 1, 1)))
    kind[draw.rand(images) < 0.2] = 2           # padding: nothing is there
    truths = Truths(boxes, draw.randint(0, max(1, classes - draw.randint(2)), shape), kind == 0, kind == 1)
    near = draw.randint(0, places, (images, ranks))
    moved = np.take_along_axis(boxes, near[..., None], 1) + draw.randint(-12, 13, (images, ranks, 4)) / 4 * draw.choice(
        [0, 1, 3], (images, ranks, 1))
    moved[..., 2:] = np.maximum(moved[..., 2:], moved[..., :2] + 1)
    labels = np.where(draw.rand(images, ranks) < 0.8, np.take_along_axis(truths.labels, near, 1),
                      draw.randint(0, classes, (images, ranks)))
    scores = -np.sort(-np.round(draw.rand(images, ranks), draw.choice([1, 2, 6])), 1)   # rounded ones are often equal
    scores[draw.rand(images) < 0.2] = 0         # nothing was found
    return truths, Found(moved, labels, scores), classes


def compare(truths, found, classes, name):
    precision, recall = theirs(truths, found, classes)
    seen = Comparison(truths, found, classes)
    for number, area in enumerate(AREAS):
        ours = seen.curves(area)
        for mine, other in ((ours.precision.transpose(1, 2, 0), precision), (ours.recall.T, recall)):
            np.testing.assert_allclose(np.nan_to_num(mine, nan=-1), other[..., number], 0, 1e-9, True, f"{name} {area}")


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_every_curve_is_that_of_pycocotools(first):
    """At each of ten overlaps and 101 recalls, by class, of all sizes and each; and the largest recall."""
    for seed in range(first, first + 50):
        compare(*case(seed), seed)


def test_the_cases_hold_what_is_awkward():
    truths, found, classes = zip(*map(case, range(200)), strict=True)
    sizes = np.concatenate([(one.boxes[..., 2:] - one.boxes[..., :2]).prod(-1)[one.counted] for one in truths])
    assert {32 ** 2, 96 ** 2} <= set(sizes) and sum(one.ignored.any() for one in truths) > 50
    assert sum((~(one.counted | one.ignored).any(1)).any() for one in truths) > 50, "empty images"
    assert sum((one.scores == 0).all(1).any() for one in found) > 50, "nothing was found in some"
    assert sum(any(len(set(row)) < len(row) for row in one.scores) for one in found) > 100, "ties"
    assert sum((one.counts(count) == 0).any() for one, count in zip(truths, classes, strict=True)) > 50


def test_a_detectors_own_detections():
    found, targets = stored()
    compare(Truths.of(targets), Found.of(found), CLASSES, "digit scenes")


def summary(precision, recall):
    """What pycocotools prints of its arrays: AP, AP50, AP75, recall, AP by size; None where there is no object."""
    def mean(values):
        known = values[values > -1]
        return float(known.mean()) if len(known) else None
    sizes = {f"average_precision_{name}": mean(precision[..., number]) for number, name in enumerate(SIZES, 1)}
    return {"average_precision": mean(precision[..., 0]), "average_precision_50": mean(precision[0, ..., 0]),
            "average_precision_75": mean(precision[5, ..., 0]), "average_recall": mean(recall[..., 0]), **sizes}


def test_the_meters_figures_are_those_of_pycocotools():
    """Of all, by size, and of a class that an objective asks for; a size without objects has no figure."""
    found, targets = stored()
    names = [str(label) for label in range(CLASSES)]
    task = DETECTION.judged_by({"objective.metric": "average_precision[3]"}, None, names)
    output = said(found)
    meter = task.meter(torch.ones(CLASSES), targets)
    for part in (slice(0, 64), slice(64, 100)):
        meter.update(output[part], targets[part])
    precision, recall = theirs(Truths.of(targets), Found.of(task.decode(output)), CLASSES)
    expected = {name: value for name, value in summary(precision, recall).items() if value is not None}
    expected["average_precision[3]"] = float(precision[:, :, 3, 0].mean())
    values = {name: float(value) for name, value in meter.compute().items()}
    assert values == pytest.approx(expected, abs=1e-5) and tuple(values) == meter.names
    assert "average_precision_large" not in values and 0.1 < values["average_precision"] < 0.9
