import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.plan import plan
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.augment.random_iou_crop import RandomIouCrop, candidates, first_of, greatest
from autotricks.tricks.catalog import make
from tests.conftest import make_run
from tests.tricks.rectangles import hull, one_in_each_channel


def test_windows_overlap_objects_of_which_they_leave_enough():
    """An object of 10 x 10; windows of 20 x 20 around it, on its left half, on a fifth of it, and beside it."""
    boxes = torch.tensor([[[10.0, 10, 20, 20], [0, 0, 0, 0]]])
    crops = torch.tensor([[[5.0, 5, 25, 25], [0, 10, 15, 20], [0, 5, 12, 25], [20, 0, 40, 20]]])
    shares = torch.ones(1, 2)
    assert box_iou(crops[0], boxes[0])[:, 0].tolist() == pytest.approx([100 / 400, 50 / 200, 20 / 320, 0])
    assert greatest(boxes, shares, crops)[0].tolist() == pytest.approx([0.25, 0.25, -1, -1])
    assert greatest(boxes, 0 * shares, crops).tolist() == [[-1.0] * 4], "it is to be ignored"
    both = torch.tensor([[[10.0, 10, 20, 20], [0, 10, 15, 19]]])
    assert greatest(both, shares, crops)[0, 1].item() == pytest.approx(0.9)


def test_of_the_overlaps_that_there_are_each_is_as_likely():
    """Of three overlaps windows 1 and 2 have the first, window 2 the second, none the third; then all or none."""
    fits = torch.tensor([[False, False, False], [True, False, False], [True, True, False]]).expand(30_000, 3, 3)
    first, cuts = first_of(fits, torch.rand(30_000, 4, generator=torch.Generator().manual_seed(0)))
    error = 4 * (2 / 9 / 30_000) ** 0.5
    assert [float((cuts & (first == window)).float().mean()) for window in (0, 1, 2)] == pytest.approx(
        [0, 1 / 3, 1 / 3], abs=error)
    assert float(cuts.float().mean()) == pytest.approx(2 / 3, abs=error)


def test_windows_lie_in_the_image_with_sides_and_shapes_as_said():
    crops, shaped = candidates(torch.rand(4, 50, 40, generator=torch.Generator().manual_seed(0)), 0.3, 60, 40)
    sides = crops[..., 2:] - crops[..., :2]
    assert crops.min() >= 0 and crops[..., 2].max() <= 60 and crops[..., 3].max() <= 40 + 1e-4
    shares = sides / torch.tensor([60.0, 40.0])
    assert shares.amin() >= 0.3 - 1e-6 and float(shares.mean()) == pytest.approx(0.65, abs=0.01)
    ratio = sides[..., 0] / sides[..., 1]
    assert torch.equal(shaped, (ratio >= 0.5) & (ratio <= 2)) and int((~shaped).sum()) > 0


def test_boxes_are_where_their_rectangles_are_seen():
    batch = one_in_each_channel(count=40, height=48, width=64)
    run = make_run(image_shape=(40, 48, 64))
    after = RandomIouCrop().augment(lambda batch: batch, run)(batch)
    assert bool((after.targets.shares == 1).all()), "a quarter of the only object is left"
    moved = 0
    for number, image in enumerate(after.images):
        box = after.targets.boxes[number, 0]
        moved += not torch.equal(box, batch.targets.boxes[number, 0])
        assert_close(torch.tensor(hull(image[number])), box, atol=1.0, rtol=0)
    assert moved > 15


def test_an_image_without_objects_stays():
    run = make_run(image_shape=(1, 16, 16))
    batch = Batch(torch.rand(8, 1, 16, 16), Targets(torch.zeros(8, 1).long(), torch.zeros(8, 1), torch.zeros(8, 1, 4)),
                  torch.arange(8))
    assert_close(RandomIouCrop().augment(lambda batch: batch, run)(batch).images, batch.images)


def test_needs_boxes():
    with pytest.raises(BundleError, match="random_iou_crop requires data with boxes"):
        plan(Bundle((make("random_iou_crop", {}),)), data=set())
    with pytest.raises(BundleError, match=r"random_iou_crop\.smallest: 0 is not allowed"):
        RandomIouCrop(smallest=0)
