import numpy as np
import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.sampler import progressive
from autotricks.tricks.sampler.progressive import Progressive, by_epoch, progressive_probabilities
from tests.conftest import make_dataset, make_run


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


def shares(epochs, start=0.0, stop=1.0, first=0.0):
    """The share of balance in each order that the epochs of a window read; no step is taken."""
    found = []

    def noted(counts, progress, first):
        found.append(first + (1 - first) * progress)
        return progressive_probabilities(counts, progress, first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progressive, "progressive_probabilities", noted)
        use = Use(Progressive(first=first), Window(start, stop))
        trainer = prepare(Bundle((use,), epochs=epochs, batch_size=30), make_dataset())
        patch.setattr(trainer, "step", lambda rows: torch.zeros(()))
        patch.setattr(trainer, "evaluate", dict)
        list(trainer.epochs())
    return found


@pytest.mark.parametrize("epochs", [2, 5, 27])
def test_ends_balanced_as_the_authors_linspace(epochs):
    """As https://github.com/facebookresearch/classifier-balancing has it: np.linspace(0, 1, epochs)."""
    found = [by_epoch(epoch / epochs, epochs, 1.0 / 3) for epoch in range(epochs)]
    assert found == pytest.approx(np.linspace(0, 1, epochs).tolist(), abs=1e-12)


@pytest.mark.parametrize(("epochs", "start", "stop", "expected"), [
    (5, 0.0, 1.0, [0, .25, .5, .75, 1]), (10, 0.8, 1.0, [0, 1]), (5, 0.8, 1.0, [1]), (1, 0.0, 1.0, [1]),
    (10, 0.0, 0.3, [0, .5, 1]), (3, 0.5, 1.0, [0, 1]), (10, 0.9, 1.0, [1])])
def test_the_last_epoch_of_any_window_is_balanced(epochs, start, stop, expected):
    """In 3 epochs from half-way on, two orders are drawn: in the middle of the second epoch and in the third."""
    assert shares(epochs, start, stop) == pytest.approx(expected, abs=1e-9)


def test_begins_at_its_first_share_and_ends_balanced():
    assert shares(10, 0.8, first=0.8) == pytest.approx([.8, 1])
    assert shares(8, 0.5, first=0.5) == pytest.approx([1 / 2, 4 / 6, 5 / 6, 1])


def test_refuses_a_share_above_one():
    with pytest.raises(BundleError, match=r"progressive\.first: 1\.5 is not allowed; first must be >= 0 and <= 1"):
        Progressive(first=1.5)


def test_a_step_outside_of_its_window_is_its_edge():
    counts = torch.tensor([999., 1.])  # half-way beyond, the rare class would have a negative probability
    assert progressive_probabilities(counts, -0.05).tolist() == pytest.approx([.999, .001])
    assert progressive_probabilities(counts, 1.05).tolist() == pytest.approx([.5, .5])


@pytest.mark.parametrize(("progress", "expected"), [(0.0, (.8, .2)), (0.4, (.65, .35)), (0.8, (.5, .5))])
def test_draws_follow(progress, expected):
    run = make_run(counts=(8000, 2000), epochs=5)
    rows = Progressive().sampler(None, run)(progress)
    found = torch.bincount(run.targets.single[rows])
    assert stats.chisquare(found, [share * 10_000 for share in expected]).pvalue > 1e-3


def test_counts_the_progress_of_its_own_window(dataset):
    bundle = Bundle((Use(Progressive(), Window(0.5, 1.0)),), epochs=6, batch_size=90)
    trainer = prepare(bundle, dataset)
    trainer.enter(trainer.plan.phases[1])
    rows = torch.cat([trainer.pipeline.order(4 / 6) for _ in range(40)])  # the second of the window's three epochs
    rare = float((trainer.run.targets.single[rows] == 3).float().mean())
    assert rare == pytest.approx((6 / 90 + 1 / 4) / 2, abs=4 * (.16 * .84 / 3600) ** 0.5)


def test_trains_when_the_window_opens_between_two_steps(dataset):
    trainer = prepare(Bundle((Use(Progressive(), Window(0.3, 1.0)),), epochs=2, batch_size=45), dataset)
    assert [metrics.finite for metrics in trainer.epochs()] == [True, True]
