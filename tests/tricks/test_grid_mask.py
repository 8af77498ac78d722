import math

import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.tricks.augment.grid_mask import GridMask, grid
from tests.conftest import augment, make_run


def same(images):
    return images


def one(period, kept, offsets, angle, size):
    return grid(torch.tensor([period]), torch.tensor([kept]), torch.tensor(offsets).view(2, 1), torch.tensor([angle]),
                size)[0]


def test_a_straight_grid_by_hand():
    """Stripes of 1 of 3 on 6 x 6: pixel centers lie at -2.5, -1.5, ..., 2.5."""
    found = one(3, 1, [0.0, 0.0], 0.0, (6, 6))
    stripes = torch.tensor([1, 0, 0, 1, 0, 0]).bool()      # -2.5 and 0.5 are half a pixel after a multiple of 3
    assert torch.equal(found, stripes.unsqueeze(1) | stripes)
    moved = one(3, 1, [1 / 3, 2 / 3], 0.0, (6, 6))         # columns a pixel, rows two pixels earlier
    columns, rows = torch.tensor([0, 0, 1, 0, 0, 1]).bool(), torch.tensor([0, 1, 0, 0, 1, 0]).bool()
    assert torch.equal(moved, rows.unsqueeze(1) | columns)


@pytest.mark.parametrize(("period", "kept"), [(5, 3), (7, 4), (4, 4), (6, 0)])
def test_every_period_keeps_as_many_pixels_whatever_the_offset(period, kept):
    for offset in (0.02, 0.123, 0.46, 0.87):
        found = one(period, kept, [offset, 1 - offset], 0.0, (3 * period, 2 * period))
        assert int((~found).sum()) == 6 * (period - kept) ** 2


@pytest.mark.parametrize("angle", [0.3, math.pi / 4, 2.0, 5.9])
def test_a_turned_grid_pixel_by_pixel(angle):
    period, kept, offsets, size = 5.0, 3.0, (0.2, 0.7), (9, 12)
    found = one(period, kept, list(offsets), angle, size)
    for row in range(size[0]):
        for column in range(size[1]):
            point = complex(column - 5.5, row - 4.0) * complex(math.cos(angle), math.sin(angle))
            stripes = [(part / period + offset) % 1.0 < kept / period
                       for part, offset in zip((point.real, point.imag), offsets, strict=True)]
            assert bool(found[row, column]) == any(stripes), (row, column)


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize(("ratio", "side"), [(0.6, 32), (0.4, 32), (0.5, 48)])
def test_the_share_that_is_kept(ratio, side, rotates):
    """Of each period d the stripes keep the authors' math.ceil(d * ratio) pixels, of the area 1 - (1 - l / d)^2."""
    run = make_run(image_shape=(1, side, side))
    run.progress = 1.0
    found = augment(GridMask(ratio=ratio, probability=1.0, rotates=rotates), same, run)(
        torch.full((4000, 1, side, side), 2.0))
    kept = (found == 2.0).float().mean((1, 2, 3)).double()
    periods = range(round(3 / 7 * side), side)
    expected = sum(1 - (1 - math.ceil(d * ratio) / d) ** 2 for d in periods) / len(periods)
    assert float(kept.mean()) == pytest.approx(expected, abs=4 * float(kept.std()) / 4000 ** 0.5)
    assert float((found == 2.0).float().mean(0).std()) < 0.05      # nowhere in particular
    if (ratio, side) == (0.6, 32):
        assert expected == pytest.approx(0.854, abs=5e-4)       # rounded stripes would keep .839


@pytest.mark.parametrize(("progress", "ramp", "share"), [
    (0.0, 0.8, 0.0), (0.2, 0.8, 0.2), (0.4, 0.8, 0.4), (0.8, 0.8, 0.8), (1.0, 0.8, 0.8), (0.0, 0.0, 0.8)])
def test_the_probability_grows(progress, ramp, share):
    run = make_run(image_shape=(1, 8, 8))
    run.progress = progress
    found = augment(GridMask(ramp=ramp, ratio=0.0), same, run)(torch.full((4000, 1, 8, 8), 2.0))   # all or nothing
    masked = (found != 2.0).flatten(1).all(1)
    assert torch.equal(masked, (found != 2.0).flatten(1).any(1))
    assert stats.binomtest(int(masked.sum()), 4000, share).pvalue > 1e-3


def test_fills_with_the_mean_of_each_channel_and_wraps_what_is_inside():
    run = make_run(image_shape=(2, 16, 16))
    run.mean, run.progress = torch.tensor([0.25, 0.5]).view(2, 1, 1), 1.0
    found = augment(GridMask(probability=1.0), lambda images: images + 1, run)(torch.ones(50, 2, 16, 16))
    assert [found[:, channel].unique().tolist() for channel in (0, 1)] == [[0.25, 2.0], [0.5, 2.0]]


def test_images_of_one_pixel_are_no_trouble():
    run = make_run(image_shape=(1, 1, 1))
    assert augment(GridMask(), same, run)(torch.ones(5, 1, 1, 1)).shape == (5, 1, 1, 1)


def test_refuses_a_share_above_one():
    with pytest.raises(BundleError, match=r"grid_mask\.ratio: 1\.1 is not allowed; ratio must be >= 0 and <= 1 \(of"):
        GridMask(ratio=1.1)
