import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Use, Window
from autotricks.core.plan import advice
from autotricks.errors import BundleError
from autotricks.tricks.catalog import make
from autotricks.tricks.load.image_transform import ImageTransform
from tests.conftest import make_run

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
STILL = 1 / 3 / 25      # a third is shifted, on 8 x 8 by one of 25 shifts, one of which is none


def loaded(run, trick, rows):
    """Return what is loaded, and what would be without the trick."""
    images = run.images.float() / 255
    return trick.load(lambda rows: images[rows], run)(rows), images[rows]


def differs(left, right):
    return (left - right).abs().amax((1, 2, 3)) > 1e-4


def test_each_class_is_replaced_as_often_as_in_the_enlarged_set():
    run, times = make_run(counts=C10_LT_100, image_shape=(1, 8, 8)), 4000
    first = run.counts.cumsum(0) - run.counts
    changed = differs(*loaded(run, ImageTransform(), first.long().repeat_interleave(times))).view(10, times).sum(1)
    for count, size in zip(changed.tolist(), C10_LT_100, strict=True):
        share = (5050 - size) / 5050 * (1 - STILL)
        assert stats.binomtest(count, times, share).pvalue > 1e-4, (size, count / times, share)


@pytest.mark.parametrize("mirrors", [True, False])
def test_it_replaces_what_cam_sampling_does_when_all_is_foreground(mirrors):
    run, rows = make_run(counts=(40, 20, 5), image_shape=(3, 12, 10)), torch.arange(65).repeat(3)
    run.memory["cam_sampling.maps"] = torch.zeros(65, 3, 2)
    found, originals = loaded(run, ImageTransform(mirrors=mirrors), rows)
    run.generator.manual_seed(0)
    cam = make("cam_sampling", {"mirrors": mirrors}).trick
    assert torch.equal(loaded(run, cam, rows)[0], found) and not torch.equal(found, originals)


def test_a_third_of_those_replaced_are_mirrored_or_none():
    run, rows = make_run(counts=(99, 1), image_shape=(1, 8, 8)), torch.full((6000,), 99)

    def mirrored(mirrors):
        found, originals = loaded(run, ImageTransform(mirrors=mirrors), rows)
        return int((~differs(found, originals.flip(3))).sum())
    assert stats.binomtest(mirrored(True), 6000, 0.99 / 3).pvalue > 1e-3
    assert mirrored(False) == 0


def test_what_the_moved_image_leaves_is_neither_black_nor_the_mean():
    """An image of one value, where nothing that moves can be seen but what was filled in."""
    run = make_run(counts=(99, 1), image_shape=(1, 20, 20))
    run.images = torch.full((100, 1, 20, 20), 51)
    found, originals = loaded(run, ImageTransform(), torch.full((300,), 99))
    assert torch.allclose(found, originals, atol=1e-6) and not torch.equal(run.mean, torch.full_like(run.mean, 0.2))


def test_it_wraps_what_is_inside(run):
    found = ImageTransform().load(lambda rows: torch.full((len(rows), 2, 4, 4), 0.25), run)(torch.arange(10))
    assert torch.allclose(found, torch.full_like(found, 0.25))


def test_needs_no_maps_and_no_model():
    run = make_run(counts=(6, 3, 1), image_shape=(2, 8, 8))
    run.model = None
    ImageTransform().enter(run)
    assert loaded(run, ImageTransform(), torch.arange(10))[0].shape == (10, 2, 8, 8) and run.memory == {}


def test_nothing_is_said_against_it_beside_weights():
    assert not [line for line in advice([Use(ImageTransform(), Window()), make("cost_sensitive", {})])
                if "image_transform" in line]


def test_refuses_a_mirror_that_is_no_yes_or_no():
    with pytest.raises(BundleError, match=r"image_transform\.mirrors: 'left' is not true or false; mirrors must be"):
        ImageTransform(mirrors="left")
