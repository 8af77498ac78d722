from dataclasses import replace

import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.targets import Targets
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_run

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


def drawn(q, seed=0):
    run = make_run(counts=C10_LT_100, seed=seed)
    rows = ClassBalanced(q=q).sampler(None, run)(0.0)
    assert len(rows) == len(run.targets)
    return torch.bincount(run.targets.single[rows], minlength=10)


@pytest.mark.parametrize(("q", "expected"), [
    (0.0, [0.1] * 10),
    (0.5, [.2447, .1895, .1467, .1136, .0879, .0681, .0527, .0408, .0315, .0245]),
    (1.0, [count / sum(C10_LT_100) for count in C10_LT_100])])
def test_draws_classes_by_the_power_of_their_size(q, expected):
    expected = torch.tensor(expected, dtype=torch.float64)
    found = drawn(q)
    assert stats.chisquare(found, expected / expected.sum() * found.sum()).pvalue > 1e-3


def test_draws_anew_each_epoch_and_the_same_from_the_same_seed():
    first, second = make_run(seed=3), make_run(seed=3)
    order, again = ClassBalanced().sampler(None, first), ClassBalanced().sampler(None, second)
    epochs = [order(0.0) for _ in range(2)]
    assert not torch.equal(*epochs) and torch.equal(epochs[0], again(0.5)) and torch.equal(epochs[1], again(0.9))


def test_an_image_with_many_objects_of_a_class_is_drawn_as_often_as_one_with_one():
    """Class 0 is in three images, in the first ten times; class 1 in one of them and in the last."""
    targets = Targets.sets([[0] * 10, [0], [0, 1], [1]], [torch.rand(count, 4) for count in (10, 1, 2, 1)])
    run = replace(make_run(counts=(2, 2)), targets=targets, counts=targets.counts(2).float())
    order = ClassBalanced().sampler(None, run)
    drawn = torch.bincount(torch.cat([order(0.0) for _ in range(5000)]), minlength=4) / 20_000
    assert drawn.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6 + 1 / 4, 1 / 4], abs=5 * (0.25 / 20_000) ** 0.5)


def test_a_class_without_images_is_never_drawn():
    run = make_run(counts=(5, 0, 5))
    assert 1 not in run.targets.single[ClassBalanced().sampler(None, run)(0.0)]


def test_with_a_window_it_is_deferred(dataset):
    trainer = prepare(Bundle((Use(ClassBalanced(), Window(0.5, 1.0)),), epochs=2, batch_size=90), dataset)
    shares = []
    for _ in range(2):
        trainer.enter(trainer.plan.phases[trainer._phase_index(trainer.epoch)])
        rows = torch.cat([trainer.pipeline.order(0.0) for _ in range(20)])
        shares.append(torch.bincount(trainer.run.targets.single[rows], minlength=4) / len(rows))
        trainer.epoch += 1
    assert shares[0].tolist() == pytest.approx([48 / 90, 24 / 90, 12 / 90, 6 / 90])
    assert shares[1].tolist() == pytest.approx([0.25] * 4, abs=4 * (0.25 * 0.75 / 1800) ** 0.5)


def test_brings_resampling_and_refuses_a_negative_exponent():
    assert Trait.RESAMPLES in ClassBalanced.provides
    with pytest.raises(BundleError, match=r"class_balanced\.q: -0\.5 is not allowed; q must be >= 0 and <= 1"):
        ClassBalanced(q=-0.5)
