import math

import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import plan
from autotricks.errors import BundleError
from autotricks.models import build
from autotricks.trainer import Trainer
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.optimizer.lr_finder import LrFinder, pick, ramp, smooth
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.sampler.instance import Instance
from autotricks.tricks.schedule.constant import Constant
from tests.conftest import make_dataset, make_run

RATES = ramp(1e-7, 10.0, 100)
DROP, RISE = 40, 80
LOSSES = [2.0] * DROP + [1.0] * (RISE - DROP) + [3.0] * 5 + [math.nan] * 15


def test_ramp_rises_by_one_factor():
    assert ramp(1e-3, 1.0, 4) == pytest.approx([1e-3, 1e-2, 1e-1, 1.0])


def test_running_mean_is_bias_corrected():
    # (.9 * .1 * 2 + .1 * 1) / (1 - .81)
    assert smooth([2.0, 1.0]) == pytest.approx([2.0, 0.28 / 0.19])
    assert smooth([5.0] * 30) == pytest.approx([5.0] * 30)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_what_comes_after_a_broken_loss_is_not_used(bad):
    assert smooth([1.0] * 20 + [bad] + [0.0] * 20) == pytest.approx([1.0] * 20)


def test_a_mean_is_kept_up_to_four_times_the_lowest():
    # After 20 losses of 1 a loss of x makes the mean (.9 * (1 - .9 ** 20) + .1 * x) / (1 - .9 ** 21).
    edge = (4 * (1 - 0.9 ** 21) - 0.9 * (1 - 0.9 ** 20)) * 10
    assert len(smooth([1.0] * 20 + [edge - 0.01])) == 21
    assert len(smooth([1.0] * 20 + [edge + 0.01])) == 20


def test_steepest_is_the_middle_of_the_largest_fall():
    # From the last 2 before the drop to ten steps later the mean falls most, by 1 - .9 ** 10.
    assert pick(RATES, LOSSES, "steepest") == RATES[DROP - 1 + 5]


def test_minimum_is_a_tenth_of_the_rate_before_the_rise():
    assert pick(RATES, LOSSES, "minimum") == RATES[RISE - 1] / 10


def test_noise_in_the_first_losses_is_not_taken_for_a_fall():
    noise = torch.randn(100, generator=torch.Generator().manual_seed(3)) * 0.2
    noisy = [3.0, 2.0] + [loss + float(bit) for loss, bit in zip(LOSSES[2:], noise, strict=False)]
    assert RATES[DROP - 5] < pick(RATES, noisy, "steepest") < RATES[DROP + 15]


@pytest.mark.parametrize("rule", ["steepest", "minimum"])
def test_where_all_breaks_at_once_the_lowest_rate_is_left(rule):
    assert pick(RATES, [math.nan] * 100, rule) == RATES[0]


def quadratic(rates, curvatures):
    """Losses of gradient descent on sum(curvature * w ** 2) / 2 at the given rates, from w = 1."""
    weights, losses = torch.ones(len(curvatures), dtype=torch.float64), []
    for rate in rates:
        losses.append(float((curvatures * weights ** 2).sum() / 2))
        weights = weights - rate * curvatures * weights
    return losses


@pytest.mark.parametrize("largest", [0.5, 4.0, 50.0])
def test_quadratic_diverges_at_two_over_the_largest_curvature(largest):
    rates, edge = ramp(1e-5, 100.0, 300), 2 / largest
    losses = quadratic(rates, torch.tensor([largest], dtype=torch.float64))
    risen = next(place for place in range(300) if losses[place + 1] > losses[place])
    assert rates[risen - 1] <= edge < rates[risen]
    for rule in ("steepest", "minimum"):
        bowl = torch.tensor([largest, largest / 300], dtype=torch.float64)
        assert edge / 1000 < pick(rates, quadratic(rates, bowl), rule) < edge


def test_groups_keep_their_ratio_to_the_largest_rate():
    def sgd(groups):
        return torch.optim.SGD(groups, lr=0.1)

    def probe(optimizer, rates):
        assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.1]
        assert rates == RATES
        return LOSSES

    run = make_run()
    run.probe = probe
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.02},
              {"params": [torch.nn.Parameter(torch.zeros(2))]}]
    found = LrFinder(rule="minimum").optimizer(sgd, run)(groups)
    rate = RATES[RISE - 1] / 10
    assert [group["lr"] for group in found.param_groups] == pytest.approx([0.2 * rate, rate])


def test_a_trial_starts_from_its_own_weights_at_the_rate_found():
    def trainer(*tricks):
        bundle = Bundle(tuple(Use(trick) for trick in tricks), epochs=2, batch_size=16)
        torch.manual_seed(0)
        return Trainer(plan(bundle, (Sgd(), Constant(), Instance(), CrossEntropy())), build("resnet8", 4, 1),
                       make_dataset())

    plain, found = trainer(), trainer(LrFinder(iterations=60))
    for name, value in plain.run.model.state_dict().items():
        assert torch.equal(value, found.run.model.state_dict()[name]), name
    metrics = next(found.epochs())
    assert metrics.values["train/lr"] not in (0.1, 10.0) and 1e-4 < metrics.values["train/lr"] < 1.0
    assert found.spent == 1 + 60 / found.run.steps_per_epoch


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(BundleError, match=r"lr_finder\.low: 1 is not allowed; low must be < high \(0\.1\)"):
        LrFinder(low=1.0, high=0.1)
    with pytest.raises(BundleError, match=r"lr_finder\.rule"):
        LrFinder(rule="valley")
