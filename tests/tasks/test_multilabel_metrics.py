"""Figures of the multilabel task against scikit-learn, on random cases with missing classes and ties."""
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs

from autotricks.core.targets import Targets
from autotricks.core.task import Measured
from autotricks.tasks.multilabel import MULTILABEL
from autotricks.tasks.multilabel.metrics import metrics
from autotricks.tasks.multilabel.testing import thresholds


def case(seed):
    """Logits with ties, and truth in which some classes never or always occur and some images have no label."""
    draw = np.random.RandomState(seed)
    images = draw.randint(1, 60)
    classes = draw.randint(1, 9)
    truth = draw.rand(images, classes) < draw.choice([0, 0.1, 0.4, 1], classes, p=[0.15, 0.4, 0.4, 0.05])
    truth[0, 0] = True
    logits = draw.randn(images, classes) * 2 + truth
    return np.round(logits, draw.choice([0, 1, 6])).astype(np.float32), truth


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_equal_to_scikit_learn(first):
    for seed in range(first, first + 20):
        logits, truth = case(seed)
        counts = torch.tensor(np.random.RandomState(seed).choice([5, 50, 500], truth.shape[1]))
        found = {name: float(value) for name, value in metrics(
            torch.from_numpy(logits), torch.from_numpy(truth), counts).items()}
        present = truth.any(0)
        answers = logits >= 0
        expected = {
            "mean_average_precision": theirs.average_precision_score(truth[:, present], logits[:, present]),
            "macro_f1": np.mean([theirs.f1_score(truth[:, place], answers[:, place], zero_division=0)
                                 for place in np.flatnonzero(present)]),
            "micro_f1": theirs.f1_score(truth.ravel(), answers.ravel(), zero_division=0),
            "exact_match": theirs.accuracy_score(truth, answers)}
        p = 1 / (1 + np.exp(-logits.astype(np.float64)))
        expected["loss"] = -np.mean(np.where(truth, np.log(p), np.log1p(-p)))
        for name, chosen in (("many_shot", counts > 100), ("medium_shot", (counts <= 100) & (counts >= 20)),
                             ("few_shot", counts < 20)):
            chosen = chosen.numpy() & present
            if chosen.any():
                expected[name] = theirs.average_precision_score(truth[:, chosen], logits[:, chosen])
        assert found == pytest.approx(expected, abs=1e-6), seed


def best_f1(probabilities, truth):
    """The best F1 over every threshold, by scikit-learn's curve."""
    precision, recall, _ = theirs.precision_recall_curve(truth, probabilities)
    with np.errstate(invalid="ignore"):
        return np.nanmax(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_no_threshold_names_better(first):
    for seed in range(first, first + 20):
        logits, truth = case(seed)
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
        limits = thresholds(torch.from_numpy(probabilities), torch.from_numpy(truth)).numpy()
        for place in range(truth.shape[1]):
            if not truth[:, place].any():
                assert limits[place] == 0.5
                continue
            reached = theirs.f1_score(truth[:, place], probabilities[:, place] >= limits[place])
            assert reached == pytest.approx(best_f1(probabilities[:, place], truth[:, place])), (seed, place)
            assert not np.isclose(probabilities[:, place], limits[place], rtol=1e-12, atol=0).any(), "an image's own"


def test_thresholds_by_hand():
    probabilities = torch.tensor([[0.9, 0.2, 0.7], [0.6, 0.2, 0.5], [0.4, 0.2, 0.1], [0.3, 0.2, 0.0]])
    truth = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=torch.bool)
    assert thresholds(probabilities, truth).tolist() == pytest.approx([0.5, 0.0, 0.5]), "between, all, no image"


def measured(logits, labels):
    return Measured(torch.tensor(logits), Targets.sets(labels))


def test_on_test_thresholds_are_those_of_validation():
    """Validation parts class 0 between logits 1 and 2, where half would be at 0; class 1 is never in test."""
    validation = measured([[2.0, 1.0], [1.0, -1.0], [0.5, -2.0]], [[0, 1], [], []])
    test = measured([[3.0, 0.0], [1.2, 0.0], [0.0, 0.0], [2.5, 0.0]], [[0], [], [], []])
    found = MULTILABEL.test(validation, test, torch.tensor([50.0, 5.0]))
    sigmoid = [1 / (1 + math.exp(-value)) for value in (2.0, 1.0, 1.0, -1.0)]
    assert found.thresholds == pytest.approx([(sigmoid[0] + sigmoid[1]) / 2, (sigmoid[2] + sigmoid[3]) / 2])
    assert found.by_class["recall"][0] == 1 and found.by_class["precision"][0] == 0.5
    assert found.by_class["f1"][0] == pytest.approx(2 / 3) == found.metrics["macro_f1_at_thresholds"]
    assert found.metrics["macro_f1"] == pytest.approx(2 / 5), "at one half all four are named"
    assert all(math.isnan(found.by_class[name][1]) for name in ("average_precision", "recall", "f1"))
    assert found.confusion is None and found.calibration is None


def test_a_meter_takes_parts_and_says_what_it_has():
    targets = Targets.sets([[0], [1, 0], [], [1]])
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    meter = MULTILABEL.meter(torch.tensor([200.0, 3.0]), targets)
    for part in (slice(0, 3), slice(3, 4)):
        meter.update(logits[part], targets[part])
    found = meter.compute()
    assert tuple(found) == meter.names and "medium_shot" not in found
    truth = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=torch.bool)
    whole = metrics(logits, truth, torch.tensor([200.0, 3.0]))
    assert {name: float(value) for name, value in found.items()} == {name: float(whole[name]) for name in found}
