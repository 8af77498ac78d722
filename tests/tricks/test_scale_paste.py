import pytest
import torch
from scipy import stats
from torch.nn.functional import interpolate

from autotricks.errors import BundleError
from autotricks.tricks.augment.scale_paste import ScalePaste
from tests.conftest import augment, make_run


def same(images):
    return images


def test_pastes_the_image_that_interpolation_shrinks():
    run, count = make_run(image_shape=(2, 8, 8)), 400
    run.mean = torch.tensor([2.0, 3.0]).view(2, 1, 1)        # outside the range: seen where nothing is pasted
    image = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    found = augment(ScalePaste(smallest=0.5, probability=1.0), same, run)(image.expand(count, -1, -1, -1))
    for result in found:
        inside = result[0] < 1.5
        rows, columns = (line.nonzero().flatten() for line in (inside.any(1), inside.any(0)))
        side = len(rows)
        assert len(columns) == side and int(inside.sum()) == side * side and 4 <= side <= 8
        small = interpolate(image.unsqueeze(0), (side, side), mode="bilinear", antialias=True)[0]
        assert torch.allclose(result[:, inside], small.flatten(1), atol=1e-5)
        assert torch.equal(result[:, ~inside], run.mean.flatten(1).expand(2, int((~inside).sum())))


def test_sides_and_places_are_uniform():
    run, count = make_run(image_shape=(1, 6, 6)), 12_000
    run.mean = torch.full((1, 1, 1), 2.0)
    found = augment(ScalePaste(smallest=0.5, probability=1.0), same, run)(torch.zeros(count, 1, 6, 6))[:, 0] < 1.5
    side, down, right = found.any(2).sum(1), found.any(2).int().argmax(1), found.any(1).int().argmax(1)
    assert stats.chisquare(torch.bincount(side, minlength=7)[3:]).pvalue > 1e-3
    for length, room in ((3, 4), (4, 3), (5, 2)):
        places = (down * room + right)[side == length]
        assert stats.chisquare(torch.bincount(places, minlength=room ** 2)).pvalue > 1e-3


def test_both_sides_of_an_oblong_shrink_alike():
    run = make_run(image_shape=(1, 10, 30))
    run.mean = torch.full((1, 1, 1), 2.0)
    found = augment(ScalePaste(smallest=0.5, probability=1.0), same, run)(torch.zeros(500, 1, 10, 30))[:, 0] < 1.5
    tall, broad = found.any(2).sum(1), found.any(1).sum(1)
    assert int((tall - broad / 3).abs().max() <= 1) and int(tall.min()) == 5 and int(broad.max()) == 30


def test_as_many_images_as_said():
    run, images = make_run(image_shape=(1, 8, 8)), torch.ones(4000, 1, 8, 8)
    found = augment(ScalePaste(smallest=0.5, probability=0.4), same, run)(images)
    changed = (found != 1).flatten(1).any(1)                # unless it is pasted in full size, one of 5
    assert stats.binomtest(int(changed.sum()), 4000, 0.4 * 4 / 5).pvalue > 1e-3
    assert torch.equal(augment(ScalePaste(probability=0.0), same, run)(images), images)


def test_in_full_size_the_image_stays():
    run, images = make_run(image_shape=(3, 7, 9)), torch.rand(20, 3, 7, 9)
    assert torch.allclose(augment(ScalePaste(smallest=1.0, probability=1.0), same, run)(images), images, atol=1e-6)


def test_refuses_to_enlarge():
    with pytest.raises(BundleError, match=r"scale_paste\.smallest: 1\.5 is not allowed; smallest must be > 0 and <= 1"):
        ScalePaste(smallest=1.5)
