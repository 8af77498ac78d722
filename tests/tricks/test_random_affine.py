import math

import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from autotricks.errors import BundleError
from autotricks.functional.affine import Motion
from autotricks.tricks.augment import random_affine
from autotricks.tricks.augment.random_affine import RandomAffine, moved
from tests.conftest import augment, make_run


def same(images):
    return images


def motion(angle=0.0, scale=1.0, shift=(0.0, 0.0), count=1):
    return Motion(torch.full((count,), math.radians(angle)), torch.full((count,), scale), torch.ones(count),
                  torch.tensor([shift] * count))


@pytest.mark.parametrize(("angle", "scale", "shift"), [
    (23.0, 1.0, (0.0, 0.0)), (0.0, 0.8, (0.0, 0.0)), (-40.0, 1.3, (3.0, -2.0)), (10.0, 0.9, (-1.0, 4.0))])
def test_moves_as_torchvision_does(angle, scale, shift):
    """Its `affine` turns clockwise and blends the border in another way, so pixels from outside are left out."""
    image = torch.rand(3, 21, 26, generator=torch.Generator().manual_seed(0))
    expected = reference.affine(image, -angle, [int(step) for step in shift], scale, [0.0, 0.0],
                                InterpolationMode.BILINEAR, fill=[0.0] * 3)
    found = moved(image.unsqueeze(0), motion(angle, scale, shift), torch.full((3, 1, 1), 0.3))[0]
    inside = moved(torch.ones(1, 1, 21, 26), motion(angle, scale, shift), torch.zeros(1, 1, 1))[0, 0] > 0.9999
    assert int(inside.sum()) > 200
    assert torch.allclose(found[:, inside], expected[:, inside], atol=1e-4)


def test_the_mean_moves_in():
    fill = torch.tensor([0.2, 0.4]).view(2, 1, 1)
    found = moved(torch.ones(1, 2, 4, 4), motion(shift=(2.0, 0.0)), fill)[0]
    assert torch.allclose(found[:, 1], torch.tensor([[0.2, 0.2, 1, 1], [0.4, 0.4, 1, 1]]))


def test_amounts_are_uniform_and_independent(monkeypatch):
    seen, count = [], 8000
    monkeypatch.setattr(random_affine, "moved", lambda images, motion, fill: seen.append(motion) or images)
    augment(RandomAffine(degrees=20, scale=0.25, shift=0.1), same, make_run())(torch.zeros(count, 1, 10, 30))
    drawn = seen[0]
    right, down = drawn.shift.unbind(1)
    for values, low, high in ((drawn.angle, -math.radians(20), math.radians(20)), (drawn.scale, 0.75, 1.25),
                              (right, -3, 3), (down, -1, 1)):
        assert stats.kstest(values.numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-3
    together = torch.corrcoef(torch.stack([drawn.angle, drawn.scale, right, down])) - torch.eye(4)
    assert float(together.abs().max()) < 4 / count ** 0.5 and bool((drawn.sign == 1).all())


def test_nothing_asked_nothing_done():
    run, images = make_run(image_shape=(3, 9, 12)), torch.rand(20, 3, 9, 12)
    assert torch.allclose(augment(RandomAffine(degrees=0, scale=0, shift=0), same, run)(images), images, atol=1e-5)


def test_each_image_has_its_own_and_stays_in_range():
    run = make_run(image_shape=(1, 12, 12))
    image = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0))
    found = augment(RandomAffine(), lambda images: images / 2, run)(image.expand(200, -1, -1, -1))
    assert len(found.flatten(1).unique(dim=0)) == 200 and float(found.amin()) >= 0 and float(found.amax()) <= 0.5


def test_refuses_to_shrink_to_nothing():
    with pytest.raises(BundleError, match=r"random_affine\.scale: 1 is not allowed; scale must be >= 0 and < 1 \("):
        RandomAffine(scale=1)
