import pytest
import torch

from autotricks.core.bundle import Bundle
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from autotricks.tricks.optimizer.momentum_cycling import MomentumCycling, momentum
from tests.conftest import make_run


def test_low_at_the_peak_high_at_nothing_and_straight_between():
    assert [momentum(share, 0.8, 0.96) for share in (0.0, 0.25, 1.0, 1.5)] == pytest.approx([0.96, 0.92, 0.8, 0.8])


def stepped(build, rates, **values):
    """The weight after each step at the given rates, its gradient always 1."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = MomentumCycling(**values).optimizer(build, make_run())([{"params": [weight]}])
    weight.grad, found = torch.ones(1), []
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        found.append(float(weight.detach()))
    return found, optimizer


def test_sgd_steps_by_hand():
    found, _ = stepped(lambda groups: torch.optim.SGD(groups, lr=0.5, momentum=0.1), [0.5, 0.25, 0.0],
                       low=0.6, high=0.8)
    # The buffer begins as the gradient, 1; at half the peak momentum is 0.7: 1.7; at rate 0 nothing moves.
    assert found == pytest.approx([-0.5, -0.5 - 0.25 * 1.7, -0.5 - 0.25 * 1.7])


def test_of_adam_the_first_beta_is_set_alone():
    _, optimizer = stepped(lambda groups: torch.optim.Adam(groups, lr=1e-3), [1e-3, 0.0])
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)


@pytest.mark.parametrize("phase", ["rise", "fall"])
def test_ends_of_the_phases_are_those_of_torchs_one_cycle(phase):
    weight = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([weight], lr=1.0, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 1.0, 20, div_factor=1e6, base_momentum=0.85,
                                                   max_momentum=0.95)
    for step in range(20):
        group = theirs.param_groups[0]
        if (step <= 5) == (phase == "rise"):     # the peak lies at 0.3 * 20 - 1
            assert momentum(group["lr"], 0.85, 0.95) == pytest.approx(group["momentum"], abs=1e-6)
        theirs.step()
        if step < 19:
            schedule.step()


def test_a_training_ends_with_high_momentum_and_knows_the_scaled_rate(dataset):
    uses = tuple(make(name, values) for name, values in (
        ("one_cycle", {}), ("linear_scaling", {"base": 8}), ("momentum_cycling", {"low": 0.8, "high": 0.9})))
    trainer, seen = prepare(Bundle(uses, epochs=4, batch_size=16), dataset), []
    trainer.optimizer.register_step_pre_hook(lambda optimizer, *rest: seen.append(
        (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"])))
    list(trainer.epochs())
    rate, lowest = max(seen)
    assert rate == pytest.approx(0.2) and lowest == pytest.approx(0.8)      # 0.1 * 16 / 8
    assert seen[-1][1] == pytest.approx(0.9, abs=1e-5)


def test_refuses_a_momentum_of_one():
    with pytest.raises(BundleError, match=r"momentum_cycling\.high: 1\.0 is not allowed"):
        MomentumCycling(high=1.0)
