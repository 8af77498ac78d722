import math
from dataclasses import replace

import pytest
import torch

from autotricks.core.dataset import Split
from autotricks.stats.spread import SeedStatistics
from autotricks.tasks.classification import testing as on_test
from autotricks.tasks.classification.testing import ClassResults, TestResult as Result, temperature
from tests.conftest import make_dataset


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


def test_figures_are_those_of_test_and_the_temperature_is_that_of_validation():
    """Logits are +-1 for every image. Of validation three of four are right, so that the odds are 3; of test one is."""
    four = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    data = replace(make_dataset((2, 2)), validation=Split.plain(four, torch.tensor([0, 0, 0, 1])),
                   test=Split.plain(four, torch.tensor([0, 1, 1, 1])))
    found = on_test.tested(lambda images: torch.tensor([[1.0, -1.0]]).expand(len(images), 2), data)
    assert found.temperature == pytest.approx(2 / math.log(3), rel=1e-6)
    assert found.confusion.tolist() == [[1, 0], [3, 0]]
    assert found.metrics["accuracy"] == 0.25
    assert found.metrics["calibration_error"] == pytest.approx(1 / (1 + math.exp(-2)) - 0.25, abs=1e-6)
    assert found.calibrated == pytest.approx(0.75 - 0.25, abs=1e-6)


def test_classes_over_seeds():
    figures = [{"calibration_error": 0.1}, {"calibration_error": 0.3}]
    found = ClassResults.of([
        Result(figures[0], torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]]), 1.0, 0.05),
        Result(figures[1], torch.tensor([[2, 0, 2], [1, 1, 0], [0, 0, 0]]), 2.0, 0.15)])
    assert found.recall == (SeedStatistics.of([0.75, 0.5]), SeedStatistics.of([1.0, 0.5]), None)
    assert found.confusion == ((5, 1, 2), (1, 3, 0), (0, 0, 0))
    assert (found.temperature, found.calibration_error, found.calibrated_error) == pytest.approx((1.5, 0.2, 0.1))
