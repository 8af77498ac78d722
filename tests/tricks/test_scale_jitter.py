import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.functional.windows import windows
from autotricks.tricks.augment.scale_jitter import ScaleJitter
from tests.conftest import augment, make_run
from tests.tricks.rectangles import hull, one_in_each_channel


def test_a_window_at_a_scale_and_place_is_the_resized_image_cut():
    """Twice the size, cut from (5, 3) on; half the size, at (2, 1) with nothing around; torch resizes for both."""
    images = torch.rand(1, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    large = windows(images, torch.tensor([[2.0, 2.0]]), torch.tensor([[-5.0, -3.0]]))
    assert_close(large, F.interpolate(images, scale_factor=2, mode="bilinear")[:, :, 3:11, 5:17])
    small = windows(images, torch.tensor([[0.5, 0.5]]), torch.tensor([[2.0, 1.0]]))
    expected = torch.zeros_like(images)
    expected[:, :, 1:5, 2:8] = F.interpolate(images, scale_factor=0.5, mode="bilinear")
    assert_close(small, expected)


@pytest.mark.parametrize(("smallest", "largest"), [(0.3, 1.0), (1.0, 2.0)])
def test_boxes_are_where_their_rectangles_are_seen(smallest, largest):
    batch = one_in_each_channel(count=30, height=48, width=64)
    run = make_run(image_shape=(30, 48, 64))
    run.mean = torch.zeros_like(run.mean)
    after = ScaleJitter(smallest=smallest, largest=largest).augment(lambda batch: batch, run)(batch)
    compared, sizes = 0, []
    for number, image in enumerate(after.images):
        box = after.targets.boxes[number, 0]
        if (box[2:] - box[:2]).min() < 2:
            continue
        compared += 1
        sizes.append(float((box[2:] - box[:2]).max()))
        assert_close(torch.tensor(hull(image[number])), box, atol=1.0, rtol=0)
    assert compared > 15 and len({round(size, 2) for size in sizes}) > 10


def test_scales_are_uniform_and_places_fill_the_room():
    """The width of a box that is never cut tells the scale; its left edge, as a share of the room, the place."""
    run = make_run(image_shape=(1, 20, 20))
    count = 4000
    boxes = torch.tensor([0.0, 0.0, 20.0, 20.0]).expand(count, 1, 4)
    batch = Batch(torch.zeros(count, 1, 20, 20), Targets(torch.zeros(count, 1).long(), torch.ones(count, 1), boxes),
                  torch.arange(count))
    after = ScaleJitter(smallest=0.2, largest=1.0).augment(lambda batch: batch, run)(batch)
    left, top, right, bottom = after.targets.boxes[:, 0].unbind(1)
    scales = (right - left) / 20
    assert_close(scales, (bottom - top) / 20)
    assert_close(scales.sort().values, torch.linspace(0.2, 1.0, count), atol=0.03, rtol=0)
    for first in (left, top):
        assert_close((first / (20 - 20 * scales)).sort().values, torch.linspace(0, 1, count), atol=0.03, rtol=0)


def test_around_a_smaller_image_is_the_mean_and_no_scale_is_none():
    run = make_run(image_shape=(2, 16, 16))
    run.mean = torch.tensor([0.25, 0.75]).view(2, 1, 1)
    images = torch.zeros(50, 2, 16, 16)
    small = augment(ScaleJitter(smallest=0.25, largest=1.0), lambda images: images, run)(images)
    assert_close(small.amax((0, 2, 3)), torch.tensor([0.25, 0.75])) and small.amin() == 0
    same = torch.rand(5, 2, 16, 16)
    assert_close(augment(ScaleJitter(smallest=1.0, largest=1.0), lambda images: images, run)(same), same)


def test_refuses_a_smallest_scale_above_one():
    with pytest.raises(BundleError, match=r"scale_jitter\.smallest: 1\.5 is not allowed"):
        ScaleJitter(smallest=1.5)
