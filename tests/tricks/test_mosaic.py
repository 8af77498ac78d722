import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.plan import plan
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.functional.boxes import area
from autotricks.tricks.augment.mosaic import Mosaic, mosaic
from autotricks.tricks.catalog import make
from tests.conftest import make_run
from tests.tricks.rectangles import hull, one_in_each_channel

FOUR = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])       # each image in each corner once


def boxed(images, boxes):
    labels = torch.arange(len(images)).unsqueeze(1).expand(-1, len(boxes[0]))
    return Batch(images, Targets(labels, torch.ones(labels.shape), torch.tensor(boxes, dtype=torch.float32)),
                 torch.arange(len(images)))


def test_at_half_the_size_four_whole_images_meet_in_the_middle():
    images = torch.rand(4, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    batch = boxed(images, [[[2.0, 2.0, 6.0, 8.0]]] * 4)
    found = mosaic(batch, FOUR, torch.full((4,), 0.5), torch.tensor([[6.0, 4.0]] * 4))
    small = F.avg_pool2d(images, 2)
    expected = torch.cat([torch.cat([small[0], small[1]], 2), torch.cat([small[2], small[3]], 2)], 1)
    assert_close(found.images[0], expected)
    assert found.targets.labels[0].tolist() == [0, 1, 2, 3] and found.targets.shares.tolist() == [[1.0] * 4] * 4
    assert found.targets.boxes[0].tolist() == [[1, 1, 3, 4], [7, 1, 9, 4], [1, 5, 3, 8], [7, 5, 9, 8]]


def test_in_their_own_size_they_are_cut_and_so_are_their_boxes():
    """The middle at x = 5, y = 2 of 8 x 6 pixels: the first image shows its last five columns and two rows."""
    images = torch.rand(4, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    batch = boxed(images, [[[0.0, 0.0, 5.0, 6.0], [4.0, 3.0, 8.0, 6.0], [0.0, 0.0, 3.0, 4.0]]] * 4)
    found = mosaic(batch, FOUR, torch.ones(4), torch.tensor([[5.0, 2.0]] * 4))
    one, two, three, four = images[:, 0]
    rows = [torch.cat([one[4:, 3:], two[4:, :3]], 1), torch.cat([three[:4, 3:], four[:4, :3]], 1)]
    assert_close(found.images[0, 0], torch.cat(rows))
    targets = found.targets[0:1]
    assert targets.boxes[0].tolist() == [
        [0, 0, 2, 2], [1, 0, 5, 2], [0, 0, 0, 0],       # of 30, 12 and 12 pixels 4, 8 and none are left
        [5, 0, 8, 2], [8, 0, 8, 2], [5, 0, 8, 0],       # 6, none, none
        [0, 2, 2, 6], [1, 5, 5, 6], [0, 2, 0, 6],       # 8, 4, none
        [5, 2, 8, 6], [8, 5, 8, 6], [5, 2, 8, 6]]       # 12, none, 12
    assert targets.shares[0].tolist() == [0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 1]
    assert targets.labels[0].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_boxes_are_where_their_rectangles_are_seen():
    batch = one_in_each_channel(count=8, height=40, width=56)
    chance = torch.Generator().manual_seed(1)
    partners = torch.stack([(torch.arange(8) + step) % 8 for step in range(4)])
    scales = 0.5 + 0.5 * torch.rand(8, generator=chance)
    middles = (1 - scales + (2 * scales - 1) * torch.rand(2, 8, generator=chance)).T * torch.tensor([56.0, 40.0])
    found = mosaic(batch, partners, scales, middles)
    compared = 0
    for image, labels, boxes in zip(found.images, found.targets.labels, found.targets.boxes, strict=True):
        for label, box in zip(labels.tolist(), boxes, strict=True):
            if area(box) == 0:
                assert hull(image[label]) is None
            if (box[2:] - box[:2]).min() < 2:
                continue
            compared += 1
            assert_close(torch.tensor(hull(image[label])), box, atol=1.0, rtol=0)
    assert compared > 16


def test_mosaics_have_no_gaps_and_every_image_is_in_four():
    run = make_run(image_shape=(5, 20, 30))
    images = torch.eye(5).view(5, 5, 1, 1).expand(-1, -1, 20, 30) * 1.0     # image n is bright in channel n alone
    done = Mosaic().augment(lambda batch: batch, run)
    for _ in range(20):
        found = done(boxed(images, [[[1.0, 1.0, 9.0, 9.0]]] * 5))
        assert_close(found.images.sum(1), torch.ones(5, 20, 30))
        assert torch.bincount(found.targets.labels.flatten(), minlength=5).tolist() == [4] * 5


def test_an_image_that_is_no_mosaic_stays():
    run = make_run(image_shape=(1, 20, 30))
    batch = boxed(torch.rand(6, 1, 20, 30), [[[1.0, 2.0, 9.0, 9.0]]] * 6)
    found = Mosaic(probability=0.0).augment(lambda batch: batch, run)(batch)
    assert_close(found.images, batch.images)
    assert torch.equal(found.targets.boxes[:, 0], batch.targets.boxes[:, 0])
    assert found.targets.shares.tolist() == [[1, 0, 0, 0]] * 6
    assert area(found.targets.boxes[:, 1:]).sum() == 0, "the others are padding"


def test_needs_boxes_and_scales_that_leave_no_gap():
    with pytest.raises(BundleError, match="mosaic requires data with boxes"):
        plan(Bundle((make("mosaic", {}),)), data=set())
    with pytest.raises(BundleError, match=r"mosaic\.smallest: 0\.4 is not allowed"):
        Mosaic(smallest=0.4)
