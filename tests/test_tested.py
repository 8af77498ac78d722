import math

import pytest
import torch

from autotricks.stats.spread import SeedStatistics
from autotricks.tasks.classification.testing import ClassResults, TestResult, temperature


def test_temperature_of_two_classes_in_closed_form():
    """With logits +-1 and three of four right, the best temperature gives odds of 3: 2 / T = ln 3."""
    logits = torch.tensor([[1.0, -1.0]] * 4)
    assert temperature(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(2 / math.log(3), rel=1e-6)


def test_temperature_undoes_a_scale():
    logits, labels = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 5
    logits[torch.arange(200), labels] += 1.0
    assert temperature(logits * 3, labels) == pytest.approx(3 * temperature(logits, labels), rel=1e-6)


def test_temperature_of_what_is_always_right_stays_finite():
    assert temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([0])) == pytest.approx(math.exp(-3), rel=1e-6)


def test_classes_over_seeds():
    figures = [{"calibration_error": 0.1}, {"calibration_error": 0.3}]
    found = ClassResults.of([
        TestResult(figures[0], torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]]), 1.0, 0.05),
        TestResult(figures[1], torch.tensor([[2, 0, 2], [1, 1, 0], [0, 0, 0]]), 2.0, 0.15)])
    assert found.recall == (SeedStatistics.of([0.75, 0.5]), SeedStatistics.of([1.0, 0.5]), None)
    assert found.confusion == ((5, 1, 2), (1, 3, 0), (0, 0, 0))
    assert (found.temperature, found.calibration_error, found.calibrated_error) == pytest.approx((1.5, 0.2, 0.1))
