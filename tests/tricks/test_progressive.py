import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.sampler.progressive import Progressive, progressive_probabilities
from tests.conftest import make_run


def test_goes_evenly_from_images_alike_to_classes_alike():
    counts = torch.tensor([6., 3., 1., 0.])
    assert progressive_probabilities(counts, 0.0).tolist() == pytest.approx([.6, .3, .1, 0])
    assert progressive_probabilities(counts, 0.25).tolist() == pytest.approx(
        [.75 * .6 + .25 / 3, .75 * .3 + .25 / 3, .75 * .1 + .25 / 3, 0])
    assert progressive_probabilities(counts, 1.0).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_begins_at_its_first_share():
    counts = torch.tensor([6., 3., 1.])
    for progress, share in ((0.0, .8), (0.5, .9), (1.0, 1.0)):
        assert progressive_probabilities(counts, progress, 0.8).tolist() == pytest.approx(
            [(1 - share) * part + share / 3 for part in (.6, .3, .1)])


def test_a_first_share_as_large_as_the_start_is_the_fraction_of_training_done(dataset):
    bundle = Bundle((Use(Progressive(first=0.5), Window(0.5, 1.0)),), epochs=4, batch_size=90)
    trainer = prepare(bundle, dataset)
    trainer.enter(trainer.plan.phases[1])
    rows = torch.cat([trainer.pipeline.order(0.75) for _ in range(40)])
    rare = float((trainer.run.targets.single[rows] == 3).float().mean())
    assert rare == pytest.approx(.25 * 6 / 90 + .75 / 4, abs=4 * (.2 * .8 / 3600) ** 0.5)


def test_refuses_a_share_above_one():
    with pytest.raises(BundleError, match=r"progressive\.first: 1\.5 is not allowed; first must be >= 0 and <= 1"):
        Progressive(first=1.5)


def test_a_step_outside_of_its_window_is_its_edge():
    counts = torch.tensor([999., 1.])  # half-way beyond, the rare class would have a negative probability
    assert progressive_probabilities(counts, -0.05).tolist() == pytest.approx([.999, .001])
    assert progressive_probabilities(counts, 1.05).tolist() == pytest.approx([.5, .5])


@pytest.mark.parametrize(("progress", "expected"), [(0.0, (.8, .2)), (0.5, (.65, .35)), (1.0, (.5, .5))])
def test_draws_follow(progress, expected):
    run = make_run(counts=(8000, 2000))
    rows = Progressive().sampler(None, run)(progress)
    found = torch.bincount(run.targets.single[rows])
    assert stats.chisquare(found, [share * 10_000 for share in expected]).pvalue > 1e-3


def test_counts_the_progress_of_its_own_window(dataset):
    bundle = Bundle((Use(Progressive(), Window(0.5, 1.0)),), epochs=4, batch_size=90)
    trainer = prepare(bundle, dataset)
    trainer.enter(trainer.plan.phases[1])
    rows = torch.cat([trainer.pipeline.order(0.75) for _ in range(40)])  # half-way through the window
    rare = float((trainer.run.targets.single[rows] == 3).float().mean())
    assert rare == pytest.approx((6 / 90 + 1 / 4) / 2, abs=4 * (.16 * .84 / 3600) ** 0.5)


def test_trains_when_the_window_opens_between_two_steps(dataset):
    trainer = prepare(Bundle((Use(Progressive(), Window(0.3, 1.0)),), epochs=2, batch_size=45), dataset)
    assert [metrics.finite for metrics in trainer.epochs()] == [True, True]
