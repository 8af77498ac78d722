import pytest
import torch
from scipy import stats

from autotricks.errors import BundleError
from autotricks.functional import augmentation_policies
from autotricks.functional.image_operations import Operation
from autotricks.tricks.augment.rand_augment import RandAugment
from tests.conftest import augment, make_run


def same(images):
    return images


def recorded(monkeypatch, trick, count=28_000):
    seen = []
    monkeypatch.setattr(augmentation_policies, "operated", lambda batch, numbers, magnitudes, fill, among: seen.append(
        (numbers, magnitudes)) or batch.painted(batch.images + 1))
    found = augment(trick, same, make_run(image_shape=(1, 32, 32)))(torch.zeros(count, 1, 1, 1))
    assert float(found.amin()) == float(found.amax()) == len(seen)
    return seen


@pytest.mark.parametrize("count", [1, 3])
def test_applies_as_many_as_asked_each_as_likely(monkeypatch, count):
    seen = recorded(monkeypatch, RandAugment(count=count))
    assert len(seen) == count
    for numbers, _ in seen:
        assert stats.chisquare(torch.bincount(numbers, minlength=14)).pvalue > 1e-3
    if count > 1:   # the next is drawn anew
        both = torch.bincount(14 * seen[0][0] + seen[1][0], minlength=196)
        assert stats.chisquare(both).pvalue > 1e-3


def test_all_are_of_one_strength(monkeypatch):
    """At 9 of 30: figures by hand."""
    numbers, magnitudes = recorded(monkeypatch, RandAugment(count=1, magnitude=9))[0]
    for operation, expected in {Operation.SHEAR_X: 0.09, Operation.TRANSLATE_Y: 0.3 * 150 / 331 * 32,
                                Operation.ROTATE: 9.0, Operation.COLOR: 0.27}.items():
        found = magnitudes[numbers == operation]
        assert torch.allclose(found.abs(), torch.tensor(expected), rtol=1e-5)
        assert stats.binomtest(int((found > 0).sum()), len(found)).pvalue > 1e-3
    assert torch.allclose(magnitudes[numbers == Operation.POSTERIZE], torch.tensor(6.8))
    assert torch.allclose(magnitudes[numbers == Operation.SOLARIZE], torch.tensor(256 * 0.7))


def test_without_strength_only_autocontrast_and_equalize_change():
    run, count = make_run(image_shape=(1, 20, 20), seed=5), 4000
    image = 50 + torch.randint(0, 100, (1, 20, 20), generator=torch.Generator().manual_seed(0))
    images = (image / 255).expand(count, -1, -1, -1)
    found = augment(RandAugment(count=1, magnitude=0), same, run)(images)
    changed = (found - images).abs().amax((1, 2, 3)) > 1e-6
    assert stats.binomtest(int(changed.sum()), count, 2 / 14).pvalue > 1e-3


def test_the_mean_moves_in():
    """The upper left corner is left free by rotations and by half of the translations."""
    run, count = make_run(image_shape=(3, 16, 16)), 4000
    run.mean = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1)
    found = augment(RandAugment(count=1, magnitude=30), same, run)(torch.ones(count, 3, 16, 16))
    filled = (found[:, :, 0, 0] - run.mean.flatten()).abs().amax(1) < 1e-6
    assert stats.binomtest(int(filled.sum()), count, 2 / 14).pvalue > 1e-3


def test_refuses_a_strength_beyond_the_scale():
    with pytest.raises(BundleError, match=r"rand_augment\.magnitude: 31 is not allowed; magnitude must be >= 0 and"):
        RandAugment(magnitude=31)
