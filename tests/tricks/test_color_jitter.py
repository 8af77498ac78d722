from itertools import permutations

import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional as reference

from autotricks.errors import BundleError
from autotricks.functional import color
from autotricks.functional.color import BRIGHTNESS, CONTRAST, SATURATION, scaled
from autotricks.tricks.augment import color_jitter
from autotricks.tricks.augment.color_jitter import ColorJitter, hue_turned
from tests.conftest import augment, make_run


def same(images):
    return images


def pictures(count=60, depth=3, seed=0):
    images = torch.rand(count, depth, 8, 9, generator=torch.Generator().manual_seed(seed))
    images[0], images[1, 1:], images[2, :, :4] = 0.5, 0.0, images[2, :1, :4]    # level, pure red, gray
    return images


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("kind", "expected"), [
    (BRIGHTNESS, reference.adjust_brightness), (CONTRAST, reference.adjust_contrast),
    (SATURATION, reference.adjust_saturation)])
def test_each_factor_is_torchvisions(kind, expected, depth):
    images, factors = pictures(depth=depth), torch.linspace(0, 2, 60)
    found = scaled(images, torch.full((60,), kind), factors)
    assert torch.allclose(found, torch.stack([expected(image, float(factor)) for image, factor in zip(
        images, factors, strict=True)]), atol=1e-6)


def test_hue_is_torchvisions():
    images, turns = pictures(), torch.linspace(-0.5, 0.5, 60)
    expected = torch.stack([reference.adjust_hue(image, turn) for image, turn in zip(
        images, turns.tolist(), strict=True)])
    assert torch.allclose(hue_turned(images, turns), expected, atol=2e-6)


def test_hue_by_hand():
    red = torch.tensor([0.8, 0.2, 0.2]).view(1, 3, 1, 1)
    assert torch.allclose(hue_turned(red, torch.tensor([1 / 3])).flatten(), torch.tensor([0.2, 0.8, 0.2]))
    assert torch.allclose(hue_turned(red, torch.tensor([-1 / 6])).flatten(), torch.tensor([0.8, 0.2, 0.8]))
    assert torch.allclose(hue_turned(red, torch.tensor([0.0])), red)


def test_factors_are_uniform_and_orders_as_likely(monkeypatch):
    seen, count = [], 12_000
    monkeypatch.setattr(color, "scaled", lambda images, kinds, factors: seen.append((kinds, factors)) or images)
    monkeypatch.setattr(color_jitter, "hue_turned", lambda images, turns: seen.append(turns) or images)
    augment(ColorJitter(brightness=0.1, contrast=0.2, saturation=0.4, hue=0.25), same, make_run())(
        torch.zeros(count, 3, 1, 1))
    turns = seen.pop()
    assert stats.kstest(turns.numpy(), stats.uniform(-0.25, 0.5).cdf).pvalue > 1e-3
    kinds, factors = (torch.stack(parts) for parts in zip(*seen, strict=True))
    for kind, strength in ((BRIGHTNESS, 0.1), (CONTRAST, 0.2), (SATURATION, 0.4)):
        drawn = factors[kinds == kind]
        assert len(drawn) == count
        assert stats.kstest(drawn.numpy(), stats.uniform(1 - strength, 2 * strength).cdf).pvalue > 1e-3
    orders = [int((kinds == torch.tensor(order).unsqueeze(1)).all(0).sum()) for order in permutations(range(3))]
    assert sum(orders) == count and stats.chisquare(orders).pvalue > 1e-3


def test_no_strength_changes_nothing():
    images = pictures()
    assert torch.allclose(augment(ColorJitter(brightness=0, contrast=0, saturation=0), same, make_run())(images),
                          images, atol=1e-7)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_images_without_color_have_none_to_change(depth):
    images = pictures(depth=depth)
    colors_only = ColorJitter(brightness=0, contrast=0, saturation=1.0, hue=0.5)
    assert torch.allclose(augment(colors_only, same, make_run())(images), images, atol=1e-7)


def test_each_image_has_its_own_and_stays_in_range():
    image = pictures()[5]
    found = augment(ColorJitter(hue=0.1), same, make_run())(image.expand(200, -1, -1, -1))
    assert len(found.flatten(1).unique(dim=0)) == 200
    assert float(found.amin()) >= 0 and float(found.amax()) <= 1


def test_refuses_more_than_half_the_circle():
    with pytest.raises(BundleError, match=r"color_jitter\.hue: 0\.6 is not allowed; hue must be >= 0 and <= 0\.5 \(of"):
        ColorJitter(hue=0.6)
