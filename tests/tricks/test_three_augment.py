import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional as reference

from autotricks.errors import BundleError
from autotricks.functional.color import jittered
from autotricks.tricks.augment import three_augment
from autotricks.tricks.augment.three_augment import BLURRED, GRAY, SOLARIZED, ThreeAugment, altered, blurring
from tests.conftest import augment, make_run


def same(images):
    return images


def pictures(count=6, depth=3, height=40, width=43):
    images = torch.randint(0, 256, (count, depth, height, width), generator=torch.Generator().manual_seed(0))
    return images.to(torch.uint8).float() / 255


def done(images, kind, deviation=1.0):
    count = len(images)
    return altered(images, torch.full((count,), kind), torch.full((count,), deviation))


def test_gray_is_torchvisions():
    images = pictures()
    assert torch.allclose(done(images, GRAY), reference.rgb_to_grayscale(images, 3), atol=1e-6)


def test_solarizing_is_torchvisions_from_128_on():
    images = pictures()
    assert torch.equal(done(images, SOLARIZED), reference.solarize(images, 128 / 255))
    values = torch.tensor([0, 127, 128, 255]).view(1, 1, 1, 4) / 255
    assert torch.allclose(done(values, SOLARIZED) * 255, torch.tensor([0.0, 127, 127, 0]).view(1, 1, 1, 4))


@pytest.mark.parametrize("deviation", [0.1, 0.7, 2.0])
def test_the_blur_is_torchvisions_but_at_the_border(deviation):
    images = pictures()
    expected = reference.gaussian_blur(images, [25, 25], [deviation, deviation])    # 12 pixels: 6 deviations
    found = done(images, BLURRED, deviation)
    assert torch.allclose(found[..., 12:-12, 12:-12], expected[..., 12:-12, 12:-12], atol=1e-5)


def test_a_point_spreads_as_a_gaussian_and_a_level_image_stays_level():
    weights = blurring(torch.tensor([1.5, 0.01]), 31)
    expected = torch.from_numpy(stats.norm(15, 1.5).pdf(range(31))).float()
    assert torch.allclose(weights[0, 15], expected / expected.sum(), atol=1e-6)
    assert torch.equal(weights[1], torch.eye(31))
    level = torch.full((2, 3, 9, 9), 0.25)
    assert torch.allclose(done(level, BLURRED, 2.0), level)


def test_each_image_has_its_own():
    images, kinds = pictures(count=3), torch.tensor([BLURRED, GRAY, SOLARIZED])
    found = altered(images, kinds, torch.tensor([1.0, 1.0, 1.0]))
    for place, kind in enumerate(kinds.tolist()):
        assert torch.equal(found[place], done(images[place:place + 1], kind)[0])


@pytest.mark.parametrize("depth", [1, 2])
def test_images_without_color_do_not_become_gray(depth):
    images = pictures(depth=depth)
    assert torch.equal(done(images, GRAY), images)


def test_the_three_are_as_likely_and_deviations_uniform(monkeypatch):
    seen, count = [], 9000
    monkeypatch.setattr(three_augment, "altered",
                        lambda images, kinds, deviations: seen.extend([kinds, deviations]) or images)
    augment(ThreeAugment(blur=1.5), same, make_run())(torch.zeros(count, 3, 1, 1))
    kinds, deviations = seen
    assert stats.chisquare(torch.bincount(kinds, minlength=3)).pvalue > 1e-3
    assert stats.kstest(deviations.numpy(), stats.uniform(0.1, 1.4).cdf).pvalue > 1e-3


def test_the_jitter_comes_last_and_at_its_strength():
    run, images = make_run(), pictures(height=8, width=8)
    found = augment(ThreeAugment(jitter=0.2), same, run)(images)
    again = make_run().generator
    kinds, chances = torch.randint(3, (6,), generator=again), torch.rand(6, generator=again)
    expected = jittered(altered(images, kinds, 0.1 + 1.9 * chances), torch.tensor([0.2, 0.2, 0.2]), again)
    assert torch.allclose(found, expected) and float(found.amin()) >= 0 and float(found.amax()) <= 1
    plain = altered(images, kinds, 0.1 + 1.9 * chances)
    assert torch.allclose(augment(ThreeAugment(jitter=0.0), same, make_run())(images), plain, atol=1e-6)


def test_refuses_a_blur_of_nothing():
    with pytest.raises(BundleError, match=r"three_augment\.blur: 0 is not allowed; blur must be >= 0\.1 and <= 64"):
        ThreeAugment(blur=0)
