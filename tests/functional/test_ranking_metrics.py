import numpy
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from autotricks.functional import ranking_metrics
from autotricks.functional.ranking_metrics import rank_metrics


def test_known_orders():
    truth = torch.tensor([True, True, False, False])
    best = rank_metrics(torch.tensor([4.0, 3.0, 2.0, 1.0]), truth)
    assert [value.item() for value in best] == [1, 1]
    worst = rank_metrics(torch.tensor([1.0, 2.0, 3.0, 4.0]), truth)
    assert [value.item() for value in worst] == pytest.approx([0, (1 / 3 + 2 / 4) / 2])
    blind = rank_metrics(torch.zeros(4), truth)       # one threshold: half the area, and the share that is true
    assert [value.item() for value in blind] == [0.5, 0.5]


def test_equal_to_scikit_learn_with_ties_and_with_classes_that_have_none_or_all(monkeypatch):
    monkeypatch.setattr(ranking_metrics, "AT_ONCE", 100)        # several pieces
    random = numpy.random.default_rng(0)
    undefined = 0
    for case in range(200):
        shape = (random.integers(1, 60), random.integers(1, 3))
        scores = random.random(shape, dtype=numpy.float32)
        if case % 2:
            scores = numpy.round(scores * 5)
        truth = random.random(shape) < random.choice([0, 0.1, 0.5, 1])
        found = rank_metrics(torch.from_numpy(scores), torch.from_numpy(truth))
        for column in range(shape[1]):
            true = truth[:, column]
            undefined += true.all() or not true.any()
            area = roc_auc_score(true, scores[:, column]) if 0 < true.sum() < len(true) else numpy.nan
            precision = average_precision_score(true, scores[:, column]) if true.any() else numpy.nan
            assert found.auroc[column].item() == pytest.approx(area, abs=1e-6, nan_ok=True)
            assert found.average_precision[column].item() == pytest.approx(precision, abs=1e-6, nan_ok=True)
    assert undefined > 20


def test_areas_of_many_images_do_not_overflow():
    count = 70_000      # half of it squared is above 2^30
    found = rank_metrics(torch.arange(count).float(), torch.arange(count) >= count // 2)
    assert found.auroc == 1 and found.average_precision == 1
