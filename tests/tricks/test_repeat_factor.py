from dataclasses import replace

import pytest
import torch

from autotricks.core.targets import Targets
from autotricks.core.traits import Trait
from autotricks.tricks.sampler.repeat_factor import RepeatFactor, repeat_factors, systematic
from tests.conftest import make_run

SETS = [[0]] * 70 + [[0, 1]] * 16 + [[1, 2]] * 4 + [[]] * 10      # of 100 images 86 have class 0, 20 class 1, 4 class 2


def test_factors_by_hand():
    """With a threshold of .25: class 0 has 1, class 1 sqrt(.25 / .2), class 2 sqrt(.25 / .04) = 2.5."""
    targets = Targets.sets(SETS)
    assert targets.counts(3).tolist() == [86, 20, 4]
    found = repeat_factors(targets, targets.counts(3), 0.25)
    assert found.tolist() == pytest.approx([1.0] * 70 + [1.25 ** 0.5] * 16 + [2.5] * 4 + [1.0] * 10)


def test_a_class_counts_the_images_that_show_it_not_its_objects():
    """Nine of ten images have ten objects of class 0, the tenth has one of class 1: sqrt(.4 / .1) = 2 to 1."""
    targets = Targets.sets([[0] * 10] * 9 + [[1]], [torch.rand(10, 4)] * 9 + [torch.rand(1, 4)])
    run = replace(make_run(counts=(9, 1)), targets=targets, counts=targets.counts(2).float())
    order = RepeatFactor(threshold=0.4).sampler(None, run)
    drawn = torch.bincount(torch.cat([order(0.0) for _ in range(2000)]), minlength=10) / 2000
    assert drawn.tolist() == pytest.approx([10 / 11] * 9 + [20 / 11], abs=0.05)


def test_each_image_comes_as_often_as_its_factor_says_rounded_up_or_down():
    factors = torch.tensor([1.0, 1.0, 2.5, 1.5, 4.0], dtype=torch.float64)      # of 10 in all: .5, .5, 1.25, .75, 2
    counts = torch.stack([torch.bincount(systematic(factors, torch.tensor([offset / 1000], dtype=torch.float64)),
                                         minlength=5) for offset in range(1000)])
    assert (counts.sum(1) == 5).all()
    assert counts.double().mean(0).tolist() == pytest.approx([0.5, 0.5, 1.25, 0.75, 2.0], abs=0.002)
    assert counts.amin(0).tolist() == [0, 0, 1, 0, 2] and counts.amax(0).tolist() == [1, 1, 2, 1, 2]


def test_an_epoch_has_its_length_and_rare_classes_their_part():
    run = make_run(counts=(900, 90, 10), seed=1)
    order = RepeatFactor(threshold=0.25).sampler(None, run)
    rows = [order(0.0) for _ in range(20)]
    assert {len(drawn) for drawn in rows} == {1000} and not torch.equal(rows[0].sort().values, rows[1].sort().values)
    shares = torch.bincount(run.targets.single[torch.cat(rows)], minlength=3) / 20_000
    wanted = torch.tensor([900.0, 90 * (0.25 / 0.09) ** 0.5, 10 * 5.0])
    assert shares.tolist() == pytest.approx((wanted / wanted.sum()).tolist(), abs=1e-3)


def test_where_every_class_is_frequent_each_image_comes_once():
    run = make_run(counts=(60, 40))
    assert RepeatFactor(threshold=0.3).sampler(None, run)(0.0).sort().values.tolist() == list(range(100))
    assert Trait.RESAMPLES in RepeatFactor.provides
