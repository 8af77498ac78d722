import pytest
import torch
from scipy import stats
from torch.nn.functional import interpolate

from autotricks.errors import BundleError
from autotricks.tricks.augment.downscale import Downscale
from tests.conftest import augment, make_run


def same(images):
    return images


def coarser(image, height, width):
    small = interpolate(image.unsqueeze(0), (height, width), mode="bilinear", antialias=True)
    return interpolate(small, image.shape[1:], mode="bilinear")[0]


def test_every_side_is_as_likely_and_shrunk_as_interpolation_does():
    run, count = make_run(image_shape=(3, 16, 16)), 3000
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = augment(Downscale(smallest=0.5, probability=1.0), same, run)(image.expand(count, -1, -1, -1))
    expected = torch.stack([coarser(image, side, side) for side in range(8, 17)])
    near = (found.unsqueeze(1) - expected).abs().amax((2, 3, 4)) < 1e-5
    assert bool((near.sum(1) == 1).all())
    assert stats.chisquare(near.sum(0)).pvalue > 1e-3


def test_both_sides_of_an_oblong_shrink_alike():
    run, count = make_run(image_shape=(1, 8, 24)), 2000
    image = torch.rand(1, 8, 24, generator=torch.Generator().manual_seed(0))
    found = augment(Downscale(smallest=0.5, probability=1.0), same, run)(image.expand(count, -1, -1, -1))
    # 5 heights, 13 widths: one draw picks the same share of either range
    pairs = {(4 + int(place * 5), 12 + int(place * 13)) for place in torch.linspace(0, 0.9999, 1000).tolist()}
    expected = torch.stack([coarser(image, *pair) for pair in sorted(pairs)])
    assert bool(((found.unsqueeze(1) - expected).abs().amax((2, 3, 4)) < 1e-5).any(1).all())


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_as_many_images_as_said(probability):
    run = make_run(image_shape=(1, 8, 8))
    images = torch.rand(4000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = augment(Downscale(smallest=0.5, probability=probability), same, run)(images)
    changed = (found - images).abs().amax((1, 2, 3)) > 1e-4
    assert stats.binomtest(int(changed.sum()), 4000, probability * 4 / 5).pvalue > 1e-3   # the fifth side is all of it


def test_stays_in_range_and_keeps_a_level_image():
    run = make_run(image_shape=(3, 10, 10))
    trick = augment(Downscale(smallest=0.1, probability=1.0), same, run)
    found = trick((torch.rand(200, 3, 10, 10) > 0.5).float())
    assert float(found.amin()) >= -1e-6 and float(found.amax()) <= 1 + 1e-6
    assert torch.allclose(trick(torch.full((50, 3, 10, 10), 0.7)), torch.tensor(0.7), atol=1e-6)


def test_refuses_to_shrink_to_nothing():
    with pytest.raises(BundleError, match=r"downscale\.smallest: 0 is not allowed; smallest must be > 0 and <= 1 \("):
        Downscale(smallest=0)
