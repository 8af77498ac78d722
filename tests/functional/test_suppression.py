import math

import pytest
import torch
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image

from autotricks.core.dense import Dense
from autotricks.functional.suppression import MOST, few, suppressed
from autotricks.testing import Waiting
from autotricks.tricks.predict.hard_suppression import HardSuppression
from autotricks.tricks.predict.soft_suppression import SoftSuppression, gaussian, linear

CASES = 200


def cases(count=40, classes=3, seed=0):
    """Random boxes around a few middles, with scores that are all different."""
    chance = torch.Generator().manual_seed(seed)
    middles = 20 + 60 * torch.rand(CASES, 6, 2, generator=chance)
    which = torch.randint(6, (CASES, count), generator=chance)
    corners = middles.gather(1, which.unsqueeze(2).expand(-1, -1, 2))
    corners = corners + 4 * torch.randn(CASES, count, 2, generator=chance)
    sides = 10 + 20 * torch.rand(CASES, count, 2, generator=chance)
    scores = torch.rand(CASES, count, generator=chance) * 0.9 + 0.05
    return scores, torch.cat([corners, corners + sides], 2), torch.randint(classes, (CASES, count), generator=chance)


@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_hard_suppression_is_torchvisions(threshold):
    scores, boxes, labels = cases()
    kept, places = suppressed(scores, boxes, labels, lambda overlap: (overlap <= threshold).float(), 40)
    counts = set()
    for image in range(CASES):
        theirs = batched_nms(boxes[image], scores[image], labels[image], threshold)
        assert places[image][kept[image] > 0].tolist() == theirs.tolist()
        assert torch.equal(kept[image][kept[image] > 0], scores[image][theirs])
        counts.add(len(theirs))
    assert len(counts) > 5 and min(counts) < 35


def plainly(scores, boxes, labels, decay):
    """Soft suppression as its paper writes it: the likeliest is taken out, the others of its class lose."""
    scores = scores.tolist()
    left = list(range(len(scores)))
    taken = []
    while left:
        best = max(left, key=lambda place: scores[place])
        left.remove(best)
        taken.append((best, scores[best]))
        for place in left:
            if labels[place] == labels[best]:
                scores[place] *= decay(float(box_iou(boxes[best][None], boxes[place][None])))
    return taken


@pytest.mark.parametrize(("form", "decay"), [
    ("linear", lambda overlap: 1 - overlap if overlap >= 0.3 else 1.0),
    ("gaussian", lambda overlap: math.exp(-overlap ** 2 / 0.5))])
def test_soft_suppression_is_a_plain_loop(form, decay):
    scores, boxes, labels = (part[:5] for part in cases(count=15))
    ours = {"linear": lambda overlap: linear(overlap, 0.3), "gaussian": lambda overlap: gaussian(overlap, 0.5)}[form]
    kept, places = suppressed(scores, boxes, labels, ours, 15)
    for image in range(5):
        taken = plainly(scores[image], boxes[image], labels[image], decay)
        assert places[image].tolist() == [place for place, _ in taken]
        assert kept[image].tolist() == pytest.approx([score for _, score in taken], rel=1e-4)


def said(count=300, classes=3, seed=2):
    """An output of many places, in which boxes of one class lie over one another."""
    chance = torch.Generator().manual_seed(seed)
    corners = 60 * torch.rand(2, count, 2, generator=chance)
    boxes = torch.cat([corners, corners + 10 + 10 * torch.rand(2, count, 2, generator=chance)], 2)
    return Dense(torch.randn(2, count, classes, generator=chance) - 1, torch.randn(2, count, generator=chance), boxes,
                 torch.zeros(2, count, 3))


IMAGES = torch.zeros(2, 1, 80, 80)      # in which all boxes of `said` lie


@pytest.mark.parametrize("trick", [
    HardSuppression(looked=900), SoftSuppression(looked=900), SoftSuppression(form="linear", looked=900)])
def test_what_is_left_are_the_likeliest_with_the_scores_that_they_have_come_to(trick, run):
    output = said()
    left = Dense.of(trick.predict(lambda images: output.output(), run)(IMAGES))
    assert left.logits.shape == (2, MOST, 3)
    best, label = left.scores().max(2)
    flat = output.scores().flatten(1)
    decay = {"hard_suppression": lambda overlap: (overlap <= 0.6).float(),
             "gaussian": lambda overlap: gaussian(overlap, 0.5),
             "linear": lambda overlap: linear(overlap, 0.3)}[getattr(trick, "form", trick.name)]
    labels = torch.arange(900).expand(2, -1) % 3
    kept, places = suppressed(flat, output.boxes.repeat_interleave(3, 1), labels, decay, MOST)
    assert torch.allclose(best, kept, rtol=1e-3, atol=1e-6)
    assert torch.equal(label[kept > 0], (places % 3)[kept > 0])
    assert torch.equal(left.boxes, output.boxes.gather(1, (places // 3).unsqueeze(2).expand(-1, -1, 4)))
    assert bool((left.scores().sort(2).values[..., :-1] == 0).all())        # each has one class


def test_fewer_places_than_are_looked_at():
    output = said(count=20)
    left = few(output, lambda overlap: torch.ones_like(overlap), 300, (80, 80))
    assert left.logits.shape == (2, 60, 3)
    assert torch.allclose(left.scores().amax(2), output.scores().flatten(1).sort(1, descending=True).values, rtol=1e-3)


def test_boxes_are_cut_at_the_border_before_they_are_compared():
    """As torchvision's detectors do: clipped, then suppressed."""
    output = said()
    images = torch.zeros(2, 1, 40, 50)
    left = Dense.of(HardSuppression(looked=900).predict(lambda images: output.output(), None)(images))
    clipped = clip_boxes_to_image(output.boxes, (40, 50))
    differs = 0
    for image in range(2):
        flat = output.scores()[image].flatten()
        labels = torch.arange(900) % 3
        theirs = batched_nms(clipped[image].repeat_interleave(3, 0), flat, labels, 0.6)[:MOST]
        assert torch.equal(left.boxes[image], clipped[image][theirs // 3])
        unclipped = batched_nms(output.boxes[image].repeat_interleave(3, 0), flat, labels, 0.6)[:MOST]
        differs += not torch.equal(theirs, unclipped)
    assert differs, "or the order of the two says nothing"


@pytest.mark.parametrize("trick", [HardSuppression(), SoftSuppression(), SoftSuppression(form="linear")])
def test_the_device_is_not_waited_for(trick, run):
    output = said().output()
    predict = trick.predict(lambda images: output, run)
    with Waiting() as waiting:
        predict(IMAGES)
    assert waiting.calls == []


def test_limits_of_softness():
    overlaps = torch.tensor([0.0, 0.29, 0.3, 0.5, 1.0])
    assert linear(overlaps, 0.3).tolist() == pytest.approx([1, 1, 0.7, 0.5, 0])
    assert gaussian(overlaps, 1e9).tolist() == pytest.approx([1] * 5)
    assert gaussian(overlaps, 1e-4).tolist() == pytest.approx([1, 0, 0, 0, 0], abs=1e-6)
