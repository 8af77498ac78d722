import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.plan import plan
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.functional.boxes import intersection, small_alone
from autotricks.tricks.augment.copy_paste import CopyPaste, free_corners, picked
from autotricks.tricks.catalog import make
from tests.conftest import make_run
from tests.tricks.rectangles import hull

SIDE, COUNT = 40, 6


def scenes(small=5):
    """Image n has a large object of label 9 and, at odd n, a small one of label n whose pixels are n / 10."""
    images = torch.zeros(COUNT, 2, SIDE, SIDE)
    images[:, 1] = torch.arange(COUNT).view(-1, 1, 1) / 10
    boxes = torch.zeros(COUNT, 3, 4)
    shares = torch.zeros(COUNT, 3)
    labels = torch.full((COUNT, 3), 9)
    for number in range(COUNT):
        boxes[number, 0] = torch.tensor([20.0, 4.0, 38.0, 22.0])
        images[number, 0, 4:22, 20:38] = 1
        shares[number, 0] = 1
        if number % 2:
            boxes[number, 1] = torch.tensor([2.0, 3.0, 2 + small, 7.0])
            images[number, 0, 3:7, 2:2 + small] = number / 10
            labels[number, 1], shares[number, 1] = number, 1
    return Batch(images, Targets(labels, shares, boxes), torch.arange(COUNT))


def done(batch, **values):
    run = make_run(image_shape=(2, SIDE, SIDE))
    return CopyPaste(**values).augment(lambda batch: batch, run)(batch)


def test_copies_lie_where_their_boxes_say_and_cover_nothing():
    before = scenes()
    after = done(before, copies=4, largest=0.2)
    assert after.targets.boxes.shape == (COUNT, 7, 4)
    assert torch.equal(after.targets.boxes[:, :3], before.targets.boxes)
    copies = 0
    for number, (image, labels, shares, boxes) in enumerate(zip(
            after.images, after.targets.labels, after.targets.shares, after.targets.boxes, strict=True)):
        there = boxes[shares > 0]
        apart = intersection(there.unsqueeze(1), there) * (1 - torch.eye(len(there)))
        assert float(apart.max()) == 0, "a copy touches an object"
        changed = image[0] != before.images[number, 0]
        for label, share, box in zip(labels[3:].tolist(), shares[3:].tolist(), boxes[3:], strict=True):
            left, top, right, bottom = box.long().tolist()
            assert share == 1 and label in (1, 3, 5) and (right - left, bottom - top) == (5, 4)
            pixels = image[:, top:bottom, left:right]
            assert torch.equal(pixels, torch.full_like(pixels, label / 10)), "all channels come from the same image"
            changed[top:bottom, left:right] = False
            copies += 1
        assert not changed.any(), "something else was painted"
    assert copies == 4 * COUNT


def test_edges_within_a_pixel_move_with_it():
    """A box from 2.25 to 6.5 is copied with all pixels that it touches, and lies in them as it did."""
    before = scenes()
    before.targets.boxes[1::2, 1] = torch.tensor([2.25, 3.0, 6.5, 6.75])
    after = done(before, copies=1, largest=0.2)
    for image, label, box in zip(after.images, after.targets.labels[:, 3], after.targets.boxes[:, 3], strict=True):
        left, top, right, bottom = box.tolist()
        assert (left % 1, right % 1, top % 1, bottom % 1) == (0.25, 0.5, 0, 0.75)
        same = (image[0] - label / 10).abs() < 1e-6
        same[3:7, 2:7] = False       # the object itself, where this is its image
        assert hull(same.float()) == [left - 0.25, top, right + 0.5, bottom + 0.25]


def test_what_is_large_ignored_or_overlapped_is_not_copied():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [10, 10, 14, 15], [20, 20, 24, 24], [23, 23, 26, 26], [30, 0, 34, 4],
                           [0, 0, 0, 0]]])
    shares = torch.tensor([[1.0, 1, 1, 1, 0, 1]])
    assert small_alone(boxes, shares, 16.0).tolist() == [[True, False, False, False, False, False]]
    before = scenes(small=17)         # 68 pixels, where 64 are small
    after = done(before, largest=0.2)
    assert torch.equal(after.images, before.images) and after.targets.shares[:, 3:].sum() == 0
    assert after.targets.boxes[:, 3:].abs().sum() == 0, "places without a copy are padding"


def test_where_nothing_is_free_nothing_is_pasted():
    before = scenes()
    before.targets.boxes[:, 2] = torch.tensor([0.0, 0.0, 40.0, 40.0])        # to ignore, and not to be covered
    after = done(before, largest=0.2, copies=2)
    assert after.targets.shares[:, 3:].sum() == 0 and torch.equal(after.images, before.images)


def test_a_corner_is_the_first_that_is_free():
    """Of 10 x 10 pixels the left half is taken; a patch of 3 x 2 has 8 x 9 corners."""
    boxes = torch.tensor([[[0.0, 0.0, 5.0, 10.0]]]).expand(3, 1, 4)
    chances = torch.tensor([[[0.0, 0.0], [0.7, 0.5], [0.9, 0.0]], [[0.99, 0.99], [0.7, 0.5], [0, 0]],
                            [[0.0, 0], [0.1, 0], [0.5, 0]]])
    corners, free = free_corners(boxes, torch.tensor([[3.0, 2.0]] * 3), chances, torch.tensor([10.0, 10.0]))
    assert corners[:2].tolist() == [[5, 4], [7, 8]] and free.tolist() == [True, True, False]


def test_each_place_of_a_mask_is_as_likely():
    mask = torch.tensor([False, True, False, True, True, False])
    assert picked(mask, torch.tensor([0.0, 0.33, 0.34, 0.66, 0.67, 0.9999])).tolist() == [1, 1, 3, 3, 4, 4]
    assert picked(torch.zeros(4, dtype=torch.bool), torch.tensor([0.0, 0.9])).max() < 4


def test_needs_boxes():
    with pytest.raises(BundleError, match="copy_paste requires data with boxes"):
        plan(Bundle((make("copy_paste", {}),)), data=set())
    with pytest.raises(BundleError, match=r"copy_paste\.copies: 0 is not allowed"):
        CopyPaste(copies=0)
