import numpy as np
import pytest
import torch
from scipy import stats

from autotricks.functional import augmix
from autotricks.functional.augmix import mixed, operations
from autotricks.functional.image_operations import Operation, applied

CPU = torch.device("cpu")


def recorded(monkeypatch, images, severity=3, width=3, change=lambda images, numbers: images):
    """Mix with operations that only `change`; return what came out and what was asked for, [place, B * width]."""
    seen = []

    def fake(chains, numbers, magnitudes, fill, among, bilinear):
        assert bilinear and float(fill.abs().sum()) == 0 and len(among) == 9
        seen.append((numbers, magnitudes))
        return change(chains, numbers)
    monkeypatch.setattr(augmix, "applied", fake)
    range_ = operations(32, 32, CPU)
    found = mixed(images, range_, severity, width, torch.Generator().manual_seed(3))
    return found, torch.stack([numbers for numbers, _ in seen]), torch.stack([sizes for _, sizes in seen])


def test_the_operations_are_those_of_the_authors():
    """Nine; strengths at a tenth of the scale, by hand from the authors' code for 32 pixels."""
    range_ = operations(32, 32, CPU)
    assert {operation.name for operation in range_.operations} == {
        "AUTO_CONTRAST", "EQUALIZE", "POSTERIZE", "ROTATE", "SOLARIZE", "SHEAR_X", "SHEAR_Y", "TRANSLATE_X",
        "TRANSLATE_Y"}
    tenth = {operation: float(range_.magnitudes(torch.tensor([place]), torch.tensor([0.1]), torch.tensor([False])))
             for place, operation in enumerate(range_.operations)}
    assert tenth[Operation.ROTATE] == pytest.approx(3) and tenth[Operation.SHEAR_Y] == pytest.approx(0.03)
    assert tenth[Operation.TRANSLATE_X] == pytest.approx(32 / 30)
    assert tenth[Operation.SOLARIZE] == pytest.approx(256 - 25.6) and tenth[Operation.POSTERIZE] == pytest.approx(3.6)


def test_depths_and_operations_are_uniform(monkeypatch):
    _, numbers, _ = recorded(monkeypatch, torch.zeros(6000, 1, 1, 1))
    assert numbers.shape == (3, 18_000)
    works = numbers != Operation.IDENTITY
    assert bool(works[0].all()) and not (works[2] & ~works[1]).any()
    assert stats.chisquare(torch.bincount(works.sum(0), minlength=4)[1:]).pvalue > 1e-3
    used = torch.bincount(numbers[works], minlength=15)
    assert stats.chisquare(used[used > 0]).pvalue > 1e-3 and int((used > 0).sum()) == 9


@pytest.mark.parametrize("severity", [1, 5])
def test_levels_follow_the_authors_law(monkeypatch, severity):
    """Uniform from 0.1 to the severity in tenths, of either sign; bits are 4 less the level's whole number."""
    _, numbers, magnitudes = recorded(monkeypatch, torch.zeros(6000, 1, 1, 1), severity)
    sheared = magnitudes[numbers == Operation.SHEAR_X]
    law = stats.uniform(0.1, severity - 0.1)
    assert stats.kstest((sheared.abs() / 0.03).numpy(), law.cdf).pvalue > 1e-3
    assert stats.binomtest(int((sheared > 0).sum()), len(sheared)).pvalue > 1e-3
    bits = magnitudes[numbers == Operation.POSTERIZE]
    kept = law.cdf(2.5)                                     # 0.4 * level < 1
    assert set(bits.tolist()) == ({4.0} if severity == 1 else {4.0, 3.0})
    assert stats.binomtest(int((bits == 4).sum()), len(bits), min(1.0, kept)).pvalue > 1e-3


@pytest.mark.parametrize("severity", [1, 3, 10])
def test_rotations_are_whole_degrees(monkeypatch, severity):
    """As int(level * 30 / 10) of https://github.com/google-research/augmix, of either sign; 0 is one of them."""
    _, numbers, magnitudes = recorded(monkeypatch, torch.zeros(6000, 1, 1, 1), severity)
    turned = magnitudes[numbers == Operation.ROTATE].abs()
    levels = np.random.default_rng(0).uniform(0.1, severity, 400_000)
    law = np.bincount([int(level * 30 / 10) for level in levels], minlength=31) / len(levels)
    found = torch.bincount(turned.long(), minlength=31).numpy()
    assert torch.equal(turned, turned.round())
    kept = law > 0
    assert found[~kept].sum() == 0 and stats.chisquare(found[kept], law[kept] * len(turned)).pvalue > 1e-3
    if severity == 3:       # degrees 0 to 8: (1/3 - .1) / 2.9 are not turned
        assert law[0] == pytest.approx(.0805, abs=.002) and law @ np.arange(31) == pytest.approx(4.163, abs=.05)


@pytest.mark.parametrize("operation", [Operation.TRANSLATE_X, Operation.TRANSLATE_Y, Operation.SOLARIZE])
def test_the_other_strengths_in_whole_numbers_act_as_if_cut(operation):
    """Cutting the strength first, as the authors do, changes nothing that these do: pixels and thresholds are whole."""
    image = (torch.arange(12 * 12).view(1, 1, 12, 12) / 255).repeat(40, 1, 1, 1)
    strengths = torch.linspace(0.1, 3.9, 40) if operation != Operation.SOLARIZE else torch.linspace(40.1, 99.7, 40)
    cut = strengths.ceil() if operation == Operation.SOLARIZE else strengths.trunc()   # a threshold is 256 less it
    numbers = torch.full((40,), int(operation))
    black = torch.zeros(1, 1, 1)
    both = [applied(image, numbers, sizes, black, (operation,), bilinear=True) for sizes in (strengths, cut)]
    assert torch.equal(*both)


def test_an_image_has_a_uniform_share_and_chains_dirichlet_weights(monkeypatch):
    """The image is black: where all chains are white the share is seen, where one is, its weight times the share."""
    count = 6000
    def alone(chains, numbers):
        return torch.tensor([1.0, 0.0, 0.0]).repeat(count).view(-1, 1, 1, 1)
    found, _, _ = recorded(monkeypatch, torch.zeros(count, 1, 1, 1), change=alone)
    # one of three weights from Dirichlet(1, 1, 1) is from Beta(1, 2)
    law = stats.beta(1, 2).rvs(200_000, random_state=0) * stats.uniform.rvs(size=200_000, random_state=1)
    assert stats.ks_2samp(found.flatten().numpy(), law).pvalue > 1e-3
    found, _, _ = recorded(monkeypatch, torch.zeros(count, 1, 1, 1), change=lambda chains, _: torch.ones_like(chains))
    assert stats.kstest(found.flatten().numpy(), "uniform").pvalue > 1e-3


def test_it_is_a_convex_combination():
    """What no chain changes stays; what chains turn black is darker than the image and never darker than black."""
    images = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = mixed(images, operations(16, 16, CPU), 10, 3, torch.Generator().manual_seed(1))
    assert float(found.amin()) >= 0 and float(found.amax()) <= 1 + 1e-6
    white = torch.ones(400, 3, 8, 8)                        # autocontrast and equalize leave white as it is
    found = mixed(white, operations(8, 8, CPU), 3, 3, torch.Generator().manual_seed(1))
    assert float(found.amin()) >= 0 and float(found.amax()) == pytest.approx(1)
    assert len(found.flatten(1).unique(dim=0)) > 300        # each image has its own


def test_wider_mixtures_vary_less(monkeypatch):
    def change(chains, numbers):
        return torch.rand(chains.shape, generator=torch.Generator().manual_seed(4))
    spread = [float(recorded(monkeypatch, torch.full((4000, 1, 1, 1), 0.5), width=width, change=change)[0].var())
              for width in (1, 4)]
    # E[m^2] = 1/3 times the variance 1/12 of a chain times E[sum w^2] = 2 / (width + 1)
    assert spread == pytest.approx([1 / 36, 1 / 36 * 2 / 5], rel=0.1)
