import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.tricks.augment.cutout import Cutout
from tests.conftest import augment, make_run


def same(images):
    return images


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 0.5), (8, 8, 0.25), (16, 8, 0.5)])
def test_the_mean_area_is_that_of_a_clipped_square(height, width, size):
    """A square of even side L around a uniform center covers L - L^2 / (4 H) of H rows on the average."""
    run, count, side = make_run(image_shape=(1, height, width)), 20_000, size * min(height, width)
    found = augment(Cutout(size=size), same, run)(torch.full((count, 1, height, width), 2.0))
    areas = (found[:, 0] != 2.0).sum((1, 2)).double()
    expected = (side - side**2 / (4 * height)) * (side - side**2 / (4 * width))
    assert float(areas.mean()) == pytest.approx(expected, abs=4 * float(areas.std()) / count**0.5)


def test_centers_are_uniform():
    run = make_run(image_shape=(2, 8, 8))
    found = augment(Cutout(size=0.125), same, run)(torch.full((20_000, 2, 8, 8), 2.0))  # one pixel: the center
    holes = (found[:, 0] != 2.0).flatten(1)
    assert holes.sum(1).unique().tolist() == [1]
    assert stats.chisquare(torch.bincount(holes.int().argmax(1), minlength=64)).pvalue > 1e-3


def test_fills_a_rectangle_with_the_mean_of_each_channel():
    run = make_run(image_shape=(2, 6, 6))
    run.mean = torch.tensor([0.25, 0.5]).view(2, 1, 1)
    images = torch.full((50, 2, 6, 6), 2.0)
    found = augment(Cutout(size=0.5), same, run)(images)
    for sample in found:
        hole = sample[0] != 2.0
        assert torch.equal(hole, hole.any(1).unsqueeze(1) & hole.any(0)) and 2 * 2 <= int(hole.sum()) <= 3 * 3
        assert sample[0][hole].unique().tolist() == [0.25] and sample[1][hole].unique().tolist() == [0.5]
        assert bool((sample[:, ~hole] == 2.0).all())
    assert bool((images == 2.0).all())


def test_wraps_what_is_inside(run):
    found = augment(Cutout(size=0.25), lambda images: images + 1, run)(torch.ones(3, 2, 4, 4))
    assert (found == 2.0).sum((1, 2, 3)).tolist() == [30, 30, 30]


def test_refuses_a_side_of_nothing():
    with pytest.raises(BundleError, match=r"cutout\.size: 0 is not allowed; size must be > 0 and <= 1 \(fraction"):
        Cutout(size=0)
