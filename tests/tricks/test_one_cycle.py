import pytest

from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.tricks.schedule.one_cycle import OneCycle
from tests.tricks.cycles import factors, one_cycle_lr


@pytest.mark.parametrize("steps", [7, 100, 1001])
@pytest.mark.parametrize(("pct_start", "div_factor", "final_div_factor"), [(0.3, 25.0, 1e4), (0.45, 10.0, 100.0)])
def test_equals_torch_step_by_step(steps, pct_start, div_factor, final_div_factor):
    expected = one_cycle_lr(steps, pct_start=pct_start, div_factor=div_factor, final_div_factor=final_div_factor)
    assert factors(OneCycle(pct_start, div_factor, final_div_factor), steps) == pytest.approx(expected, rel=1e-9)


def test_starts_peaks_and_ends_where_it_should():
    cycle = factors(OneCycle(), 10)  # peak at step 0.3 * 10 - 1 = 2
    assert cycle[0] == pytest.approx(1 / 25)
    assert cycle[2] == pytest.approx(1.0) == max(cycle)
    assert cycle[-1] == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("pct_start", [0.0, 0.1])
def test_without_time_to_rise_it_only_falls(pct_start):
    cycle = factors(OneCycle(pct_start=pct_start), 10)
    assert cycle == sorted(cycle, reverse=True) and cycle[0] > 0.9


def test_it_brings_its_own_warm_up():
    assert Trait.CYCLES_RATE in OneCycle.provides


def test_a_cycle_that_never_falls_is_refused():
    with pytest.raises(BundleError, match=r"one_cycle\.pct_start: 1\.0 is not allowed"):
        OneCycle(pct_start=1.0)
