import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.augment.augmix import Augmix
from tests.conftest import augment, make_run


def test_mixes_each_image_on_its_own_after_what_is_inside():
    run, before = make_run(image_shape=(3, 16, 16)), torch.get_rng_state()
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) / 2
    found = augment(Augmix(), lambda images: images * 2, run)(image.expand(300, -1, -1, -1))
    assert found.shape == (300, 3, 16, 16) and len(found.flatten(1).unique(dim=0)) > 290
    assert float(found.amin()) >= 0 and 0.9 < float(found.amax()) <= 1 + 1e-6
    assert torch.equal(torch.get_rng_state(), before)


def test_more_severe_changes_more():
    def changed(severity):
        run = make_run(image_shape=(1, 16, 16), seed=1)
        images = torch.rand(300, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return float((augment(Augmix(severity=severity), lambda images: images, run)(images) - images).abs().mean())
    assert changed(1) < 0.9 * changed(5)


def test_refuses_a_mixture_of_nothing():
    with pytest.raises(BundleError, match=r"augmix\.width: 0 is not allowed; width must be >= 1 and <= 10 \(chains"):
        Augmix(width=0)
