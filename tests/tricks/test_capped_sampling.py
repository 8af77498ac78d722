import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.sampler.capped_sampling import CappedSampling, least_rows
from tests.conftest import make_run

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


def counted(counts, fraction):
    """Draw an order from rows that are not sorted by class; return its rows of each class and of each image."""
    run = make_run(counts=counts)
    run.targets = run.targets[torch.randperm(len(run.targets), generator=torch.Generator().manual_seed(5))]
    rows = CappedSampling(fraction=fraction).sampler(None, run)(0.0)
    often = torch.bincount(rows, minlength=len(run.targets))
    return torch.bincount(run.targets.single[rows], minlength=len(counts)).tolist(), [
        sorted(often[run.targets.single == label].tolist()) for label in range(len(counts))]


@pytest.mark.parametrize(("fraction", "expected"), [
    (1 / 3, [5000, 2997, 1796, 1667, 1667, 1667, 1667, 1667, 1667, 1667]),
    (0.1, [5000, 2997, 1796, 1077, 645, 500, 500, 500, 500, 500]),
    (1.0, [5000] * 10),
    (0.0, list(C10_LT_100))])
def test_every_class_has_its_fraction_of_the_largest(fraction, expected):
    assert counted(C10_LT_100, fraction)[0] == expected


def test_images_of_a_class_come_equally_often():
    classes, images = counted((20, 4, 0, 12), 0.5)
    assert classes == [20, 10, 0, 12]
    assert images == [[1] * 20, [2, 2, 3, 3], [], [1] * 12]


@pytest.mark.parametrize(("fraction", "largest", "least"), [
    (0.07, 100, 7), (0.29, 100, 29), (1 / 3, 3, 1), (0.34, 3, 2), (0.5, 6, 3), (0.0, 9, 0)])
def test_a_fraction_is_rounded_up_but_not_for_its_last_binary_digit(fraction, largest, least):
    assert least_rows(largest, fraction) == least


def test_which_images_come_once_more_is_chance_and_so_is_the_order():
    run = make_run(counts=(10, 4))
    order = CappedSampling(fraction=0.5).sampler(None, run)
    orders = [order(0.0) for _ in range(2000)]
    more = torch.stack([torch.bincount(rows, minlength=14)[10:] for rows in orders]).sum(0) - 2000
    assert int(more.sum()) == 2000 and stats.chisquare(more).pvalue > 1e-3
    firsts = torch.bincount(run.targets.single[torch.stack(orders)[:, 0]])
    assert stats.chisquare(firsts, [2000 * 10 / 15, 2000 * 5 / 15]).pvalue > 1e-3


def test_an_epoch_stays_as_long(dataset):
    trainer = prepare(Bundle((Use(CappedSampling()),), epochs=1, batch_size=16), dataset)
    trainer.enter(trainer.plan.phases[0])
    assert [len(rows) for rows in trainer.rows(trainer.run.steps_per_epoch, 0)] == [16] * 5


def test_brings_resampling_and_refuses_a_fraction_above_one():
    assert Trait.RESAMPLES in CappedSampling.provides
    with pytest.raises(BundleError, match=r"capped_sampling\.fraction: 1\.5 is not allowed; .* >= 0 and <= 1 \(of the"):
        CappedSampling(fraction=1.5)
