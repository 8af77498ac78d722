import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from autotricks.tricks.sampler.under_sampling import UnderSampling, selected_positions
from tests.conftest import make_run


def test_places_by_hand():
    # classes of 3, 2, 0 and 4 rows begin at places 0, 3, 5 and 5
    counts = torch.tensor([3., 2., 0., 4.])
    assert selected_positions(counts, 6).tolist() == [[0, 1, 3, 4, 5, 6]]
    assert selected_positions(counts, 7).tolist() == [[0, 1, 3, 4, 5, 6], [2, 0, 3, 4, 7, 8]]


def test_every_class_comes_down_to_the_smallest_without_repeats():
    run = make_run(counts=(50, 20, 0, 7))
    run.targets = run.targets[torch.randperm(77, generator=torch.Generator().manual_seed(5))]  # not sorted by class
    selections = UnderSampling().sampler(None, run)(0.0).split(21)
    assert [len(rows) for rows in selections] == [21] * 4  # 84 rows, the least that hold 77
    for rows in selections:
        assert torch.bincount(run.targets.single[rows], minlength=4).tolist() == [7, 7, 0, 7]
        assert len(rows.unique()) == 21
    often = torch.bincount(torch.cat(selections), minlength=77)
    assert sorted(often[run.targets.single == 0].tolist()) == [0] * 22 + [1] * 28
    assert often[run.targets.single == 3].tolist() == [4] * 7


def test_every_image_of_a_class_is_kept_alike():
    run = make_run(counts=(13, 3))
    order = UnderSampling().sampler(None, run)
    often = torch.bincount(torch.cat([order(0.0)[:6] for _ in range(2000)]), minlength=16)
    assert often[13:].tolist() == [2000] * 3
    assert int(often[:13].sum()) == 6000 and stats.chisquare(often[:13]).pvalue > 1e-3


def test_the_order_is_random():
    run = make_run(counts=(60, 30))
    firsts = torch.stack([run.targets.single[UnderSampling().sampler(None, run)(0.0)[:5]] for _ in range(800)])
    assert stats.chisquare(torch.bincount(firsts.flatten())).pvalue > 1e-3


def test_an_epoch_stays_as_long(dataset):
    trainer = prepare(Bundle((Use(UnderSampling()),), epochs=1, batch_size=16), dataset)  # 48, 24, 12 and 6 images
    trainer.enter(trainer.plan.phases[0])
    batches = list(trainer.rows(trainer.run.steps_per_epoch, 0))
    assert [len(rows) for rows in batches] == [16] * 5
    for rows in torch.cat(batches)[:72].split(24):
        assert torch.bincount(trainer.run.targets.single[rows]).tolist() == [6, 6, 6, 6]


def test_brings_resampling_and_has_no_parameter():
    assert Trait.RESAMPLES in UnderSampling.provides
    with pytest.raises(BundleError, match=r"under_sampling\.ratio: no such parameter"):
        make("under_sampling", {"ratio": 2})
