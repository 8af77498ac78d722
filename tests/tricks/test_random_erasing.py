import random

import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.tricks.augment.random_erasing import RandomErasing, sizes, stretches
from tests.conftest import augment, make_run


def same(images):
    return images


def spelled(height, width, greatest, draws, seed=0):
    """The rectangles of the paper's algorithm, one after the other: height, width, first row, first column."""
    chance, found = random.Random(seed), []
    while len(found) < draws:
        area, aspect = chance.uniform(0.02, greatest) * height * width, chance.uniform(0.3, 1 / 0.3)
        tall, broad = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if tall < height and broad < width:
            found.append((tall, broad, chance.randint(0, height - tall), chance.randint(0, width - broad)))
    return torch.tensor(found)


def rectangles(holes):
    """Height, width, first row and first column of each hole; holes [B, H, W] must be full rectangles."""
    rows, columns = holes.any(2).int(), holes.any(1).int()
    assert torch.equal(holes, (rows.unsqueeze(2) * columns.unsqueeze(1)).bool())
    tall, broad, first, left = rows.sum(1), columns.sum(1), rows.argmax(1), columns.argmax(1)
    for lines, count, start in ((rows, tall, first), (columns, broad, left)):
        places = torch.arange(lines.shape[1])
        assert torch.equal(lines.bool(), (places >= start[:, None]) & (places < (start + count)[:, None]))
    return torch.stack([tall, broad, first, left], 1)


@pytest.mark.parametrize(("height", "width", "area"), [(64, 64, 0.4), (40, 90, 0.2)])
def test_rectangles_are_those_of_the_paper(height, width, area):
    run, count = make_run(image_shape=(1, height, width)), 4000
    erased = augment(RandomErasing(probability=1.0, area=area), same, run)(torch.full((count, 1, height, width), 2.0))
    found, expected = rectangles(erased[:, 0] != 2.0), spelled(height, width, area, count)
    for column in range(4):
        assert stats.ks_2samp(found[:, column].numpy(), expected[:, column].numpy()).pvalue > 1e-3
    for measure in (lambda one: one[:, 0] * one[:, 1], lambda one: one[:, 0] / one[:, 1]):
        assert stats.ks_2samp(measure(found).numpy(), measure(expected).numpy()).pvalue > 1e-3


def test_the_first_rectangle_that_fits_is_taken():
    """On 10 x 10: 14 x 6 and 6 x 14 do not fit, 4 x 6 and 6 x 4 do; 10 x 1 touches both edges and does not."""
    areas = torch.tensor([[0.84, 0.24, 0.84, 0.1], [0.84, 0.84, 0.24, 0.1]])
    aspects = torch.tensor([[14 / 6, 2 / 3, 6 / 14, 10.0], [6 / 14, 14 / 6, 1.5, 10.0]])
    tall, broad = sizes(areas, aspects, 10, 10)
    assert tall.tolist() == [0, 4, 6, 0] and broad.tolist() == [0, 6, 4, 0]


def test_starts_are_uniform_over_where_it_fits():
    chances = torch.randint(2**62, (9000,), generator=torch.Generator().manual_seed(0))
    found = stretches(torch.full((9000,), 4), 9, chances)
    assert bool((found.sum(1) == 4).all())
    assert stats.chisquare(torch.bincount(found.int().argmax(1), minlength=6)).pvalue > 1e-3
    assert stretches(torch.tensor([0, 9]), 9, chances[:2]).sum(1).tolist() == [0, 9]


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_as_many_images_as_said(probability):
    run = make_run(image_shape=(1, 16, 16))
    found = augment(RandomErasing(probability=probability), same, run)(torch.full((5000, 1, 16, 16), 2.0))
    erased = (found != 2.0).flatten(1).any(1)
    assert stats.binomtest(int(erased.sum()), 5000, probability).pvalue > 1e-3


def test_fills_with_the_mean_of_each_channel():
    run = make_run(image_shape=(2, 16, 16))
    run.mean = torch.tensor([0.25, 0.5]).view(2, 1, 1)
    images = torch.full((50, 2, 16, 16), 2.0)
    found = augment(RandomErasing(probability=1.0), same, run)(images)
    for channel, mean in enumerate((0.25, 0.5)):
        assert found[:, channel].unique().tolist() == [mean, 2.0]
    assert torch.equal(found[:, 0] == 2, found[:, 1] == 2) and bool((images == 2).all())


def test_noise_has_a_value_for_each_pixel_and_channel():
    run = make_run(image_shape=(3, 24, 24))
    found = augment(RandomErasing(probability=1.0, fill="noise"), same, run)(torch.full((200, 3, 24, 24), 2.0))
    noise = found[found != 2.0]
    assert len(noise) > 10_000 and stats.kstest(noise.numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(found[:, 0] == 2, found[:, 1] == 2) and len(noise.unique()) > 0.99 * len(noise)


@pytest.mark.parametrize("side", [1, 2])
def test_images_of_a_few_pixels_are_no_trouble(side):
    run = make_run(image_shape=(1, side, side))
    found = augment(RandomErasing(probability=1.0), same, run)(torch.ones(20, 1, side, side))
    assert int((found != 1).sum((1, 2, 3)).max()) <= side * side - 1 if side > 1 else torch.equal(
        found, torch.ones(20, 1, 1, 1))


def test_refuses_an_area_below_the_least():
    with pytest.raises(BundleError, match=r"random_erasing\.area: 0\.01 is not allowed; area must be >= 0\.02 and"):
        RandomErasing(area=0.01)
