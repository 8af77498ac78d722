import pytest
import torch
from sklearn import metrics

from autotricks.core.targets import Targets
from autotricks.tasks.classification.metrics import (
    METRICS,
    ClassificationMeter,
    calibration_error,
    metrics as measured,
    shots,
)

COUNTS = torch.tensor([400.0, 101.0, 100.0, 20.0, 19.0, 3.0])  # many, many, medium, medium, few, few


def predictions(count=900, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 6, (count,), generator=generator)
    logits = torch.randn(count, 6, generator=generator) * 2
    logits[torch.arange(count), labels] += torch.tensor([3.0, 2.5, 2.0, 1.0, 0.5, 0.0])[labels]
    return logits, labels


def named(logits, labels, counts=COUNTS):
    """As a meter has it that is told in two parts."""
    targets = Targets.plain(labels)
    meter, cut = ClassificationMeter(counts, targets), len(labels) // 3
    for rows in (slice(None, cut), slice(cut, None)):
        meter.update(logits[rows], targets[rows])
    values = meter.compute()
    assert tuple(values) == meter.names and set(meter.names) <= set(METRICS)
    return {name: float(value) for name, value in values.items()}


def binned_error(confidence, right):
    """Guo et al., equation 3, bin by bin; the m-th of 15 bins is ((m - 1) / 15, m / 15]."""
    error = 0.0
    for place in range(15):
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_metrics_equal_those_of_scikit_learn():
    logits, labels = predictions()
    found, truth, guess = named(logits, labels), labels.numpy(), logits.argmax(1).numpy()
    probabilities = logits.double().softmax(1).numpy()
    recall = metrics.recall_score(truth, guess, average=None)
    assert found == pytest.approx({
        "loss": metrics.log_loss(truth, probabilities),
        "accuracy": metrics.accuracy_score(truth, guess),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
        "calibration_error": binned_error(probabilities.max(1), guess == truth),
        "many_shot": recall[:2].mean(), "medium_shot": recall[2:4].mean(), "few_shot": recall[4:].mean()}, abs=1e-6)
    assert len({round(value, 3) for value in found.values()}) == 7  # no two figures could be mistaken for each other


def test_metrics_by_hand():
    # Class 0: two of three right; class 1: none of one; class 2 does not occur and is not counted.
    right, wrong = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 2.0])
    found = named(torch.stack([right, right, wrong, right]), torch.tensor([0, 0, 0, 1]), torch.tensor([200.0, 50, 50]))
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["many_shot"] == pytest.approx(2 / 3) and found["medium_shot"] == 0
    assert "few_shot" not in found


def test_edges_of_many_medium_and_few():
    assert {name: mask.tolist() for name, mask in shots(COUNTS, COUNTS >= 0).items()} == {
        "many_shot": [True, True, False, False, False, False],
        "medium_shot": [False, False, True, True, False, False],
        "few_shot": [False, False, False, False, True, True]}


def test_a_group_whose_classes_the_split_lacks_is_left_out_or_finite():
    logits, labels = predictions()
    seen = labels < 4
    values = measured(logits[seen], labels[seen], COUNTS).values()
    assert all(value.isfinite() for value in values)


def test_calibration_error_by_hand():
    # Bin (.6, .667]: 2 of 4 right at .65, gap .15. Bin (.933, 1]: 5 of 6 right at .95, gap .1167.
    confidence = torch.tensor([0.65] * 4 + [0.95] * 6)
    right = torch.tensor([1.0, 1, 0, 0] + [1.0] * 5 + [0.0])
    assert calibration_error(confidence, right).item() == pytest.approx(0.4 * 0.15 + 0.6 * (0.95 - 5 / 6), abs=1e-6)


@pytest.mark.parametrize(("confidence", "right", "error"), [
    ((0.94, 0.96), (0.9, 1.0), 0.0),                # one bin: the gaps cancel
    ((0.40, 0.96), (0.9, 0.0), (0.5 + 0.96) / 2),   # two bins, gaps of opposite sign
    ((0.05, 0.10), (1.0, 0.0), (0.95 + 0.1) / 2),   # the first two bins
    ((0.95, 1.00), (1.0, 0.0), (1.0 - 0.05) / 2)])  # 1 belongs to the last bin
def test_gaps_cancel_within_a_bin_only(confidence, right, error):
    found = calibration_error(torch.tensor(confidence), torch.tensor(right))
    assert found.item() == pytest.approx(error, abs=1e-6)


def test_certain_and_right_is_calibrated():
    assert calibration_error(torch.ones(5), torch.ones(5)).item() == 0
    assert calibration_error(torch.ones(5), torch.zeros(5)).item() == 1
