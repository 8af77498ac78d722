import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.tricks.augment.crop import Crop, crop
from tests.conftest import augment, make_run


def same(images):
    return images


def test_the_middle_is_the_image():
    images = torch.rand(3, 2, 8, 8)
    middle = torch.full((3,), 4)
    assert torch.equal(crop(images, 4, middle, middle), images)


def test_shifts_each_image_by_its_own_offset():
    image = torch.arange(1., 10).view(1, 1, 3, 3).expand(3, 2, 3, 3).contiguous()
    found = crop(image, 1, torch.tensor([0, 2, 1]), torch.tensor([0, 1, 2]))
    assert found[0, 1].tolist() == [[0, 0, 0], [0, 1, 2], [0, 4, 5]]  # from the top left: black above and left
    assert found[1, 0].tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]
    assert found[2, 0].tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]


@pytest.mark.parametrize("padding", [1, 4])
def test_every_offset_is_equally_likely(padding):
    """One bright pixel in the middle of 9 x 9 tells where each image went."""
    images = torch.zeros(2000, 1, 9, 9)
    images[:, 0, 4, 4] = 1
    shift = augment(Crop(padding=padding), same, make_run())
    places = torch.cat([shift(images).flatten(1).argmax(1) for _ in range(25)])
    rows, columns = places // 9 - 4 + padding, places % 9 - 4 + padding
    side = 2 * padding + 1
    found = torch.bincount(rows * side + columns, minlength=side**2)
    assert len(found) == side**2 and stats.chisquare(found).pvalue > 1e-3


def test_takes_images_that_are_not_square_and_pads_wider_than_them(run):
    images = torch.rand(5, 1, 3, 8) + 0.1
    found = augment(Crop(padding=4), same, run)(images)
    assert found.shape == images.shape and found.dtype == torch.float32 and found.is_contiguous()
    assert set(found.unique().tolist()) <= {0.0, *images.unique().tolist()}


def test_no_padding_changes_nothing(run):
    images = torch.rand(4, 2, 8, 8)
    assert torch.equal(augment(Crop(padding=0), same, run)(images), images)


def test_wraps_what_is_inside(run):
    found = augment(Crop(padding=1), lambda images: images + 1, run)(torch.zeros(4, 1, 4, 4))
    assert set(found.unique().tolist()) <= {0.0, 1.0} and float(found[:, :, 1:3, 1:3].min()) == 1  # black is outside


@pytest.mark.parametrize(("given", "words"), [(-1, "is not allowed"), (1.5, "is not a whole number")])
def test_refuses(given, words):
    with pytest.raises(BundleError, match=words):
        Crop(padding=given)
