import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from autotricks.tricks.sampler.over_sampling import OverSampling
from tests.conftest import make_run


def test_every_class_comes_up_to_the_largest_and_its_images_equally_often():
    run = make_run(counts=(50, 20, 0, 7))
    run.targets = run.targets[torch.randperm(77, generator=torch.Generator().manual_seed(5))]  # not sorted by class
    rows = OverSampling().sampler(None, run)(0.0)
    assert torch.bincount(run.targets.single[rows], minlength=4).tolist() == [50, 50, 0, 50]
    often = torch.bincount(rows, minlength=77)
    assert often[run.targets.single == 0].tolist() == [1] * 50
    assert sorted(often[run.targets.single == 1].tolist()) == [2] * 10 + [3] * 10
    assert sorted(often[run.targets.single == 3].tolist()) == [7] * 6 + [8]


def test_which_images_come_once_more_is_chance():
    run = make_run(counts=(5, 4))
    order = OverSampling().sampler(None, run)
    more = torch.stack([torch.bincount(order(0.0), minlength=9)[5:] for _ in range(2000)]).sum(0) - 2000
    assert int(more.sum()) == 2000 and stats.chisquare(more).pvalue > 1e-3


def test_the_order_is_random_so_a_part_of_it_is_balanced_too():
    run = make_run(counts=(900, 90, 10))
    rows = OverSampling().sampler(None, run)(0.0)
    first = torch.bincount(run.targets.single[rows[:1000]], minlength=3)
    assert stats.chisquare(first).pvalue > 1e-3
    assert not torch.equal(rows, OverSampling().sampler(None, run)(0.0))


def test_of_equal_classes_it_is_a_permutation():
    run = make_run(counts=(4, 4, 4))
    assert OverSampling().sampler(None, run)(0.0).sort().values.tolist() == list(range(12))


def test_an_epoch_stays_as_long(dataset):
    trainer = prepare(Bundle((Use(OverSampling()),), epochs=1, batch_size=16), dataset)
    trainer.enter(trainer.plan.phases[0])
    assert [len(rows) for rows in trainer.rows(trainer.run.steps_per_epoch, 0)] == [16] * 5


def test_brings_resampling_and_has_no_parameter():
    assert Trait.RESAMPLES in OverSampling.provides
    with pytest.raises(BundleError, match=r"over_sampling\.ratio: no such parameter"):
        make("over_sampling", {"ratio": 2})
