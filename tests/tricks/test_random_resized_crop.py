import math

import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import resized_crop

from autotricks.errors import BundleError
from autotricks.functional.resizing import separately
from autotricks.tricks.augment.random_resized_crop import RandomResizedCrop, fitting, stretching, whole
from tests.conftest import augment, make_run


def same(images):
    return images


@pytest.mark.parametrize("box", [(0, 0, 9, 14), (3, 2, 4, 7), (8, 13, 1, 1), (2, 0, 5, 14)])
def test_a_window_is_what_torchvision_makes_of_it(box):
    images = torch.rand(2, 3, 9, 14)
    top, left, height, width = (torch.full((2,), float(value)) for value in box)
    found = separately(images, stretching(top, height, 9), stretching(left, width, 14))
    assert torch.allclose(found, resized_crop(images, *box, [9, 14], antialias=False), atol=1e-6)


def windows(trick, count, height, width):
    """Read off two ramps where the window of each image begins and how large it is."""
    down = torch.arange(float(height)).view(1, 1, -1, 1).expand(count, 1, height, width)
    right = torch.arange(float(width)).expand(count, 1, height, width)
    found = augment(trick, same, make_run())(torch.cat([down, right], 1))
    tops, lefts = found[:, 0].amin((1, 2)), found[:, 1].amin((1, 2))
    heights, widths = found[:, 0].amax((1, 2)) - tops + 1, found[:, 1].amax((1, 2)) - lefts + 1
    return torch.stack([tops, lefts, heights, widths]).round()


@pytest.mark.parametrize(("smallest", "height", "width"), [(0.08, 16, 16), (0.5, 12, 24)])
def test_areas_and_shapes_follow_torchvisions_law(smallest, height, width):
    _, _, heights, widths = windows(RandomResizedCrop(smallest=smallest), 8000, height, width)
    image = torch.zeros(1, height, width)
    crop = v2.RandomResizedCrop(8, scale=(smallest, 1))
    drawn = [crop.make_params([image]) for _ in range(8000)]
    theirs = torch.tensor([(window["height"], window["width"]) for window in drawn]).T
    for ours, other in ((heights * widths, theirs[0] * theirs[1]), (widths / heights, theirs[1] / theirs[0])):
        assert stats.ks_2samp(ours, other).pvalue > 1e-3


def test_every_place_is_equally_likely():
    tops, lefts, heights, widths = windows(RandomResizedCrop(smallest=0.25, aspect=1.0), 40000, 8, 8)
    chosen = (heights == 6) & (widths == 6)     # which leaves 3 x 3 places
    counts = torch.bincount((tops * 3 + lefts)[chosen].long(), minlength=9)
    assert len(counts) == 9 and int(counts.sum()) > 3000 and stats.chisquare(counts).pvalue > 1e-3


def test_the_first_window_that_fits_is_taken_and_otherwise_the_middle():
    heights, widths = torch.tensor([[9., 9], [3, 9], [2, 9]]), torch.tensor([[2., 2], [4, 2], [5, 2]])
    sizes, held = fitting(heights, widths, (8, 8), (8, 6))
    assert sizes.tolist() == [[3, 8], [4, 6]] and held.tolist() == [True, False]


@pytest.mark.parametrize(("height", "width", "middle"), [
    (10, 200, (0, 93, 10, 13)), (200, 10, (93, 0, 13, 10)), (10, 60, (0, 23, 10, 13))])
def test_where_no_window_fits_it_is_torchvisions_middle(height, width, middle):
    """Nine tenths of such an image, at most 4 : 3, are wider than it."""
    trick = RandomResizedCrop(smallest=0.9)
    crop = v2.RandomResizedCrop(8, scale=(0.9, 1))
    theirs = {tuple(crop.make_params([torch.zeros(1, height, width)])[name]
                    for name in ("top", "left", "height", "width")) for _ in range(20)}
    assert theirs == {middle}
    assert {tuple(window) for window in windows(trick, 200, height, width).T.int().tolist()} == {middle}


@pytest.mark.parametrize(("size", "found"), [((10, 40), (10, 13)), ((40, 10), (13, 10)), ((30, 32), (30, 32))])
def test_the_middle_is_as_large_as_the_shape_allows(size, found):
    assert whole(*size, 4 / 3) == found


def test_all_of_the_image_is_the_image():
    images = torch.rand(6, 2, 7, 7)
    assert torch.allclose(augment(RandomResizedCrop(smallest=1.0, aspect=1.0), same, make_run())(images), images)


def test_values_stay_within_the_image_and_each_image_has_its_own_window():
    images = torch.rand(1, 3, 16, 16).expand(50, -1, -1, -1)
    found = augment(RandomResizedCrop(), same, make_run())(images)
    assert float(found.min()) >= float(images.min()) and float(found.max()) <= float(images.max()) + 1e-6
    assert len({round(float(each.sum()), 3) for each in found}) > 45 and math.isfinite(float(found.sum()))


@pytest.mark.parametrize("values", [{"smallest": 0}, {"smallest": 1.5}, {"aspect": 0.75}])
def test_refuses(values):
    with pytest.raises(BundleError, match="is not allowed"):
        RandomResizedCrop(**values)
