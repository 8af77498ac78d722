from collections import Counter

import pytest
import torch
from scipy import stats
from torchvision.transforms import AutoAugmentPolicy, v2

from autotricks.errors import BundleError
from autotricks.functional.image_operations import Operation
from autotricks.tricks.augment import auto_augment
from autotricks.tricks.augment.auto_augment import AutoAugment, sub_policies
from tests.conftest import augment, make_run
from tests.core.test_policy import named


def same(images):
    return images


@pytest.mark.parametrize("policy", ["cifar10", "imagenet", "svhn"])
def test_the_sub_policies_are_torchvisions(policy):
    expected = v2.AutoAugment(AutoAugmentPolicy(policy))._policies
    found = sub_policies(policy)
    assert len(found) == 25
    for ours, theirs in zip(found, expected, strict=True):
        for (operation, probability, level), (name, chance, magnitude) in zip(ours, theirs, strict=True):
            assert (named(operation), probability, level) == (name, chance, pytest.approx((magnitude or 0) / 9))


def recorded(monkeypatch, policy, count=50_000):
    seen = []
    monkeypatch.setattr(auto_augment, "operated", lambda batch, numbers, magnitudes, fill, among: seen.append(
        (numbers, magnitudes)) or batch.painted(batch.images + 1))
    found = augment(AutoAugment(policy=policy), same, make_run(image_shape=(1, 32, 32)))(torch.zeros(count, 1, 1, 1))
    assert len(seen) == 2 and float(found.amin()) == float(found.amax()) == 2
    return seen


@pytest.mark.parametrize("policy", ["cifar10", "imagenet", "svhn"])
def test_pairs_are_drawn_by_their_law(monkeypatch, policy):
    """The joint law of both operations, from torchvision's table: each happens with its own probability."""
    (first, _), (second, _) = recorded(monkeypatch, policy)
    law = Counter()
    for left, right in v2.AutoAugment(AutoAugmentPolicy(policy))._policies:
        for one, p in ((left[0], left[1]), ("Identity", 1 - left[1])):
            for other, q in ((right[0], right[1]), ("Identity", 1 - right[1])):
                law[one, other] += p * q / 25
    pairs = Counter((named(Operation(one)), named(Operation(other)))
                    for one, other in zip(first.tolist(), second.tolist(), strict=True))
    possible = [pair for pair, share in law.items() if share > 1e-9]
    assert set(pairs) <= set(possible)
    assert stats.chisquare([pairs[pair] for pair in possible],
                           [law[pair] * len(first) for pair in possible]).pvalue > 1e-3


def test_magnitudes_by_hand(monkeypatch):
    (numbers, magnitudes), (later, second) = recorded(monkeypatch, "imagenet")
    assert set(magnitudes[numbers == Operation.POSTERIZE].round().tolist()) == {4.0, 5.0, 6.0}  # levels 8, 7 and 5
    turned = second[later == Operation.ROTATE]
    assert sorted({round(value, 3) for value in turned.tolist()}) == [-30.0, -26.667, 26.667, 30.0]
    assert stats.binomtest(int((turned > 0).sum()), len(turned)).pvalue > 1e-3
    colored = second[later == Operation.COLOR].abs()
    assert sorted({round(value, 3) for value in colored.tolist()}) == [0.0, 0.2]      # levels 0 and 2


def test_as_many_images_stay_as_the_law_says():
    """Neither operation happens; color at level 0 changes nothing."""
    run, count = make_run(image_shape=(3, 24, 24)), 4000
    image = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5
    found = augment(AutoAugment(policy="cifar10"), same, run)(image.expand(count, -1, -1, -1))
    assert float(found.amin()) >= 0 and float(found.amax()) <= 1
    law = 0.0
    for pair in v2.AutoAugment(AutoAugmentPolicy.CIFAR10)._policies:
        happens = [0.0 if (name, level) == ("Color", 0) else chance for name, chance, level in pair]
        law += (1 - happens[0]) * (1 - happens[1]) / 25
    kept = (found - image).abs().amax((1, 2, 3)) == 0
    assert stats.binomtest(int(kept.sum()), count, law).pvalue > 1e-3


def test_the_mean_moves_in():
    run = make_run(image_shape=(3, 32, 32))
    run.mean = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1)
    found = augment(AutoAugment(policy="svhn"), same, run)(torch.ones(400, 3, 32, 32))
    filled = (found - run.mean).abs().amax(1) < 1e-6
    assert int(filled[:, -1, 0].sum()) > 20 and not filled.flatten(1).all(1).any()


def test_refuses_a_policy_that_nobody_found():
    with pytest.raises(BundleError, match=r"auto_augment\.policy: 'cifar' is not allowed; policy must be cifar10 or"):
        AutoAugment(policy="cifar")
