import math
from dataclasses import astuple, replace

import pytest
import torch

from autotricks.core.dataset import Split
from autotricks.stats.spread import SeedStatistics
from autotricks.stats.test_results import Calibration, ClassResults, TestResult as Result
from autotricks.tasks.classification.testing import temperature
from autotricks.trainer import evaluate as on_test
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
    assert found.calibration.temperature == pytest.approx(2 / math.log(3), rel=1e-6)
    assert found.confusion == [[1, 0], [3, 0]]
    assert found.by_class == {"recall": [1.0, 0.0]}
    assert found.metrics["accuracy"] == 0.25
    assert found.metrics["calibration_error"] == pytest.approx(1 / (1 + math.exp(-2)) - 0.25, abs=1e-6)
    assert found.calibration.error == found.metrics["calibration_error"]
    assert found.calibration.scaled_error == pytest.approx(0.75 - 0.25, abs=1e-6)


def test_classes_over_seeds():
    found = ClassResults.of([
        Result({}, {"recall": [0.75, 1.0, math.nan]}, [[3, 1, 0], [0, 2, 0], [0, 0, 0]], Calibration(1.0, 0.1, 0.05),
               [0.25, 0.5, 0.5]),
        Result({}, {"recall": [0.5, 0.5, math.nan]}, [[2, 0, 2], [1, 1, 0], [0, 0, 0]], Calibration(2.0, 0.3, 0.15),
               [0.75, 0.5, 0.5])])
    assert found.by_class == {"recall": (SeedStatistics.of([0.75, 0.5]), SeedStatistics.of([1.0, 0.5]), None)}
    assert found.confusion == ((5, 1, 2), (1, 3, 0), (0, 0, 0)) and found.thresholds == (0.5, 0.5, 0.5)
    assert astuple(found.calibration) == pytest.approx((1.5, 0.2, 0.1))


def test_a_task_may_have_neither_confusion_nor_calibration_nor_thresholds():
    found = ClassResults.of([Result({}, {"f1": [0.5]}), Result({}, {"f1": [1.0]})])
    assert found == ClassResults({"f1": (SeedStatistics.of([0.5, 1.0]),)}, None, None, None)
