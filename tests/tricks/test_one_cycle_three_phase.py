import pytest

from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.tricks.schedule.one_cycle_three_phase import OneCycleThreePhase, between
from tests.tricks.cycles import factors, one_cycle_lr


def test_lines_through_corners():
    corners = [(0.0, 1.0), (2.0, 5.0), (2.0, 7.0), (4.0, 3.0)]
    assert [between(corners, place) for place in (0, 1, 2, 3, 4, 9)] == [1, 3, 5, 5, 3, 3]


@pytest.mark.parametrize("steps", [7, 100, 1001])
@pytest.mark.parametrize(("ramp", "div_factor", "final_div_factor"), [(0.45, 10.0, 1e3), (0.3, 25.0, 100.0)])
def test_equals_torch_step_by_step(steps, ramp, div_factor, final_div_factor):
    expected = one_cycle_lr(steps, pct_start=ramp, div_factor=div_factor, three_phase=True,
                            final_div_factor=final_div_factor, anneal_strategy="linear")
    assert factors(OneCycleThreePhase(ramp, div_factor, final_div_factor), steps) == pytest.approx(expected, rel=1e-9)


def test_rises_falls_as_far_and_then_by_orders_of_magnitude():
    cycle = factors(OneCycleThreePhase(ramp=0.4), 105)  # corners at steps 41 and 82
    assert [cycle[place] for place in (0, 41, 82, 104)] == pytest.approx([0.1, 1.0, 0.1, 1e-4])
    assert cycle[20] + cycle[21] == pytest.approx(cycle[62] + cycle[61])  # even on both sides of the peak


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_too_short_for_it_still_has_a_rate(steps):
    assert all(0 < factor <= 1 for factor in factors(OneCycleThreePhase(), steps))


def test_it_brings_its_own_warm_up():
    assert Trait.CYCLES_RATE in OneCycleThreePhase.provides


def test_ramps_that_fill_all_of_training_are_refused():
    with pytest.raises(BundleError, match=r"one_cycle_three_phase\.ramp: 0\.5 is not allowed; ramp must be >= 0 and <"):
        OneCycleThreePhase(ramp=0.5)
