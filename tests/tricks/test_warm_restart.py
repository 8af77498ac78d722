import math

import pytest

from autotricks.errors import BundleError
from autotricks.tricks.schedule.cosine import Cosine
from autotricks.tricks.schedule.warm_restart import WarmRestart, restarted
from tests.conftest import make_run


@pytest.mark.parametrize(("progress", "at", "expected"), [
    (0.0, 0.8, 0.0), (0.4, 0.8, 0.5), (0.8, 0.8, 0.0), (0.9, 0.8, 0.5), (1.0, 0.8, 1.0), (0.25, 0.5, 0.5)])
def test_restarted_by_hand(progress, at, expected):
    assert restarted(progress, at) == pytest.approx(expected)


def test_a_cosine_runs_twice():
    run = make_run(epochs=50)  # 100 steps
    factor = WarmRestart(at=0.8, factor=0.1).schedule(Cosine().schedule(lambda progress: 1.0, run), run)
    assert factor(0.0) == pytest.approx(1) and factor(0.4) == pytest.approx(0.5)
    assert factor(0.79) == pytest.approx((1 + math.cos(math.pi * 79 / 80)) / 2)
    assert factor(0.8) == pytest.approx(0.1) and factor(0.9) == pytest.approx(0.05)


def test_the_moment_is_a_whole_step_as_window_edges_are():
    run = make_run(epochs=5)  # 10 steps
    factor = WarmRestart(at=0.33).schedule(lambda progress: progress, run)
    assert factor(0.2) == pytest.approx(2 / 3) and factor(0.3) == 0


def test_a_run_of_one_step_is_as_it_was():
    assert WarmRestart().schedule(lambda progress: 0.7, make_run(epochs=0.5))(0.0) == 0.7


@pytest.mark.parametrize("at", [0.0, 1.0, 1.5])
def test_refuses_a_moment_that_leaves_no_two_parts(at):
    with pytest.raises(BundleError, match=r"warm_restart\.at: .* is not allowed"):
        WarmRestart(at)
