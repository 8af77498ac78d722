import torch
from scipy import stats

from autotricks.tricks.augment.quarter_turns import QuarterTurns, turned
from autotricks.tricks.catalog import make
from tests.conftest import augment, make_run


def same(images):
    return images


def test_turns_are_torchs_rot90():
    images, quarters = torch.rand(8, 3, 5, 5), torch.arange(4).repeat(2)
    expected = [image.rot90(turns, (1, 2)) for image, turns in zip(images, quarters.tolist(), strict=True)]
    assert torch.equal(turned(images, quarters), torch.stack(expected))


def test_four_turns_are_none():
    images, quarters = torch.rand(4, 1, 6, 6), torch.ones(4, dtype=torch.int64)
    found = images
    for _ in range(4):
        found = turned(found, quarters)
    assert torch.equal(found, images)


def orientation(images):
    """Which corner of 2 x 2 images is bright, and which neighbor is half bright: eight orientations."""
    flat = images[:, 0, [0, 0, 1, 1], [0, 1, 1, 0]]
    bright, half = (flat == 1).int().argmax(1), (flat == 0.5).int().argmax(1)
    return 2 * bright + ((half - bright) % 4 == 1).long()


MARKED = torch.tensor([[1.0, 0.5], [0.0, 0.0]])


def test_each_turn_is_as_likely_for_each_image():
    found = augment(QuarterTurns(), same, make_run(image_shape=(1, 2, 2)))(MARKED.expand(8000, 1, 2, 2))
    counts = torch.bincount(orientation(found), minlength=8)
    assert int(counts[0::2].sum()) == 0 and stats.chisquare(counts[1::2]).pvalue > 1e-3
    pairs = torch.bincount(4 * (orientation(found)[0::2] // 2) + orientation(found)[1::2] // 2, minlength=16)
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_with_flip_all_symmetries_of_the_square_are_as_likely():
    run = make_run(image_shape=(1, 2, 2))
    both = augment(QuarterTurns(), augment(make("flip", {}).trick, same, run), run)
    assert stats.chisquare(torch.bincount(orientation(both(MARKED.expand(8000, 1, 2, 2))), minlength=8)).pvalue > 1e-3


def test_oblong_images_are_turned_upside_down_or_not():
    image = torch.arange(6.0).view(1, 2, 3)
    found = augment(QuarterTurns(), same, make_run(image_shape=(1, 2, 3)))(image.expand(4000, 1, 2, 3))
    over = (found == image.rot90(2, (1, 2))).flatten(1).all(1)
    assert bool((over | (found == image).flatten(1).all(1)).all())
    assert stats.binomtest(int(over.sum()), 4000).pvalue > 1e-3
