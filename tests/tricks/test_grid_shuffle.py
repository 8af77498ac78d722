import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.tricks.augment.grid_shuffle import GridShuffle, shuffled
from tests.conftest import augment, make_run


def same(images):
    return images


def tiles(image, grid):
    """The tiles of an image [D, H, W], row by row, as the slices that they are."""
    tall, broad = image.shape[1] // grid, image.shape[2] // grid
    return [image[:, row * tall:(row + 1) * tall, column * broad:(column + 1) * broad]
            for row in range(grid) for column in range(grid)]


def test_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    found = shuffled(image, torch.tensor([[3, 0, 1, 2]]), 2)
    assert found[0, 0].tolist() == [[10, 11, 0, 1], [14, 15, 4, 5], [2, 3, 8, 9], [6, 7, 12, 13]]


@pytest.mark.parametrize(("grid", "height", "width"), [(2, 8, 8), (3, 9, 12), (4, 10, 15), (1, 5, 5), (8, 4, 4)])
def test_tiles_move_as_ordered_and_the_rest_stays(grid, height, width):
    images = torch.rand(5, 3, height, width)
    orders = torch.stack([torch.randperm(grid ** 2) for _ in range(5)])
    found = shuffled(images, orders, grid)
    for image, result, order in zip(images, found, orders.tolist(), strict=True):
        before, after = tiles(image, grid), tiles(result, grid)
        assert all(torch.equal(tile, before[source]) for tile, source in zip(after, order, strict=True))
        inner = height // grid * grid, width // grid * grid
        assert torch.equal(result[:, inner[0]:], image[:, inner[0]:])
        assert torch.equal(result[:, :, inner[1]:], image[:, :, inner[1]:])


def test_every_order_is_as_likely_for_those_shuffled():
    run, count = make_run(image_shape=(1, 2, 2)), 12_000
    image = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    found = augment(GridShuffle(grid=2, probability=0.5), same, run)(image.expand(count, 1, 2, 2)).flatten(1).long()
    numbers = found @ torch.tensor([64, 16, 4, 1])
    counts = sorted(torch.bincount(numbers)[torch.bincount(numbers) > 0].tolist())
    assert len(counts) == 24
    law = [0.5 / 24] * 23 + [0.5 + 0.5 / 24]                # the straight order is also what is left alone
    assert stats.chisquare(counts, [share * count for share in law]).pvalue > 1e-3


def test_never_and_always():
    run, images = make_run(image_shape=(1, 8, 8)), torch.rand(200, 1, 8, 8)
    assert torch.equal(augment(GridShuffle(probability=0.0), same, run)(images), images)
    assert not (augment(GridShuffle(probability=1.0), same, run)(images) == images).flatten(1).all(1).any()


def test_wraps_what_is_inside(run):
    found = augment(GridShuffle(probability=1.0), lambda images: images + 1, run)(torch.zeros(3, 2, 4, 4))
    assert torch.equal(found, torch.ones(3, 2, 4, 4))


def test_refuses_no_tiles():
    with pytest.raises(BundleError, match=r"grid_shuffle\.grid: 0 is not allowed; grid must be >= 1 and <= 64 \(tiles"):
        GridShuffle(grid=0)
