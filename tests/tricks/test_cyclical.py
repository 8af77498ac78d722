import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.tricks.schedule.cyclical import Cyclical, triangle
from autotricks.tricks.schedule.warmup import Warmup
from tests.conftest import make_run


def factors(trick, epochs, steps_per_epoch=10):
    run = make_run(counts=(steps_per_epoch,), batch_size=1, epochs=epochs)
    schedule = trick.schedule(lambda progress: 1.0, run)
    return [schedule(place / run.steps) for place in range(run.steps + 1)]


def test_a_triangle_stands_on_even_numbers():
    assert [triangle(place) for place in (0, 0.25, 1, 1.5, 2, 5, 6.1)] == pytest.approx([0, 0.25, 1, 0.5, 0, 1, 0.1])


def test_vertices_with_and_without_shrinking():
    places = [0, 20, 40, 60, 80, 100, 120]  # every two epochs
    low, high = 0.1, 0.9
    for mode, heights in {"triangular": (1, 1, 1), "triangular2": (1, 1 / 2, 1 / 4),
                          "exp_range": (0.01 ** (1 / 6), 0.01 ** (3 / 6), 0.01 ** (5 / 6))}.items():
        found = factors(Cyclical(half_cycle=2.0, low=low, mode=mode, last=0.01), 12)
        assert [found[place] for place in places] == pytest.approx(
            [low, low + high * heights[0], low, low + high * heights[1], low, low + high * heights[2], low])


@pytest.mark.parametrize(("mode", "gamma"), [("triangular", 1.0), ("triangular2", 1.0), ("exp_range", 0.05)])
@pytest.mark.parametrize("half", [3.0, 1.7])
def test_equals_torch_step_by_step(mode, gamma, half):
    steps = 200
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.25, max_lr=1.0, step_size_up=half * 10, mode=mode, gamma=gamma ** (1 / steps),
        cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = factors(Cyclical(half_cycle=half, low=0.25, mode=mode, last=gamma), 20)
    assert found[:-1] == pytest.approx(expected, rel=1e-9)


def test_a_shorter_run_has_the_same_cycles():
    long = factors(Cyclical(half_cycle=4.0, mode="exp_range"), 24)
    short = factors(Bundle((Use(Cyclical(half_cycle=4.0, mode="exp_range")),), epochs=24).rescaled(6).uses[0].trick, 6)
    assert long[::4] == pytest.approx(short)


def test_it_multiplies_what_it_wraps_and_refuses_a_second_warm_up():
    schedule = Cyclical(half_cycle=5.0).schedule(lambda progress: 3.0, make_run(counts=(6,), batch_size=6, epochs=10))
    assert schedule(0.5) == pytest.approx(3.0)
    assert problems([Use(Cyclical()), Use(Warmup())]) == [
        "warmup excludes cyclical, which provides cycles rate. Drop one."]


def test_cycles_of_no_length_are_refused():
    with pytest.raises(BundleError, match=r"cyclical\.half_cycle: 0\.0 is not allowed; half_cycle must be > 0"):
        Cyclical(half_cycle=0.0)
