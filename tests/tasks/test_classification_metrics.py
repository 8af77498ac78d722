import warnings

import numpy
import pytest
import sklearn
import torch
from sklearn import metrics

from autotricks.core.targets import Targets
from autotricks.core.task import named as metric_named
from autotricks.errors import DataError
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tasks.classification.figures import calibration_error
from autotricks.tasks.classification.metrics import METRICS, NOTHING, Asked, ClassificationMeter, shots

COUNTS = torch.tensor([400.0, 101.0, 100.0, 20.0, 19.0, 3.0])  # many, many, medium, medium, few, few


def predictions(count=900, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 6, (count,), generator=generator)
    logits = torch.randn(count, 6, generator=generator) * 2
    logits[torch.arange(count), labels] += torch.tensor([3.0, 2.5, 2.0, 1.0, 0.5, 0.0])[labels]
    return logits, labels


def named(logits, labels, counts=COUNTS, asked=NOTHING, whole=False):
    """As a meter has it that is told in two parts."""
    targets = Targets.plain(labels)
    meter, cut = ClassificationMeter(counts, targets, asked, whole), len(labels) // 3
    for rows in (slice(None, cut), slice(cut, None)):
        meter.update(logits[rows], targets[rows])
    values = meter.compute()
    assert tuple(values) == meter.names and all(metric_named(name, METRICS) for name in meter.names)
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
        **by_scikit_learn(logits, labels, asked=False), "calibration_error": binned_error(
            probabilities.max(1), guess == truth),
        "many_shot": recall[:2].mean(), "medium_shot": recall[2:4].mean(), "few_shot": recall[4:].mean()}, abs=1e-6)
    assert len({round(value, 3) for value in found.values()}) >= 12  # hardly two figures could be mistaken


def by_scikit_learn(logits, labels, asked=True):
    """What scikit-learn says of every metric that it has; what it cannot say is left out."""
    classes, truth, guess = logits.shape[1], labels.numpy(), logits.softmax(1).argmax(1).numpy()
    odds, everyone = logits.double().softmax(1).numpy(), numpy.arange(classes)
    hot = truth[:, None] == everyone
    one_of_two = {"y_true": truth, "y_proba": odds[:, 1]}
    brier = one_of_two if classes == 2 else {"y_true": truth, "y_proba": odds, "labels": everyone}
    with warnings.catch_warnings(), sklearn.config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")     # of classes that are not there
        found = {
            "loss": metrics.log_loss(truth, odds, labels=everyone),
            "accuracy": metrics.accuracy_score(truth, guess),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
            "macro_f1": metrics.f1_score(truth, guess, average="macro"),
            "weighted_f1": metrics.f1_score(truth, guess, average="weighted"),
            "matthews": metrics.matthews_corrcoef(truth, guess),
            "brier": metrics.brier_score_loss(**brier)}
        there = [place for place in everyone if hot[:, place].any() and not hot[:, place].all()]
        if len(set(truth)) > 1:
            found |= {"cohen_kappa": metrics.cohen_kappa_score(truth, guess, labels=everyone),
                      "quadratic_kappa": metrics.cohen_kappa_score(truth, guess, labels=everyone, weights="quadratic")}
        if not asked:
            return found
        ranked = logits.log_softmax(1).numpy()      # as they are ranked, so that ties are ties in both
        if len(there) > 1:
            found["auroc"] = numpy.mean([metrics.roc_auc_score(hot[:, place], ranked[:, place]) for place in there])
        found["average_precision"] = numpy.mean([
            metrics.average_precision_score(hot[:, place], ranked[:, place]) for place in set(truth)])
        found |= {f"top_{count}_accuracy": metrics.top_k_accuracy_score(truth, logits.numpy(), k=count, labels=everyone)
                  for count in (2, 3, 5) if count < classes}
    return found


@pytest.mark.parametrize("cases", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_random_cases_with_missing_classes_and_ties_equal_scikit_learn(cases):
    random = numpy.random.default_rng(0)
    alone = ties = 0
    for case in range(cases):
        classes, count = int(random.integers(2, 9)), int(random.integers(1, 60))
        logits = 3 * random.standard_normal((count, classes), dtype=numpy.float32)
        if case % 2:
            logits = numpy.round(logits)        # equal logits, in an image and between images
        there = random.choice(classes, int(random.integers(1, classes + 1)), replace=False)
        logits, labels = torch.from_numpy(logits), torch.from_numpy(random.choice(there, count))
        asked = Asked(("top_2_accuracy", "top_3_accuracy", "auroc", "average_precision"))
        found = named(logits, labels, torch.full((classes,), 50.0), asked, whole=True)
        del found["calibration_error"], found["medium_shot"]
        assert found == pytest.approx(by_scikit_learn(logits, labels), abs=1e-6), case
        alone += "auroc" not in found
        ties += len(logits.unique()) < logits.numel()
    assert alone >= cases / 20 and ties > cases / 4


def test_auroc_of_all_classes_equals_that_of_scikit_learns_own_way_of_several_classes():
    logits, labels = predictions()
    odds = logits.double().softmax(1).numpy()
    found = named(logits, labels, whole=True)
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(labels, odds, multi_class="ovr"), abs=1e-6)
    assert "cost" not in found and found["top_5_accuracy"] == pytest.approx(
        metrics.top_k_accuracy_score(labels, odds, k=5), abs=1e-6)


def test_what_takes_long_or_wants_a_word_is_measured_where_it_is_asked_for():
    logits, labels = predictions()
    usual = named(logits, labels)
    assert not {"auroc", "average_precision", "top_5_accuracy"} & set(usual)
    more = named(logits, labels, asked=Asked(("auroc", "recall[b]", "top_2_accuracy"), tuple("abcdef")))
    assert set(more) - set(usual) == {"auroc", "recall[b]", "top_2_accuracy"}
    guess = logits.argmax(1).numpy()
    assert more["recall[b]"] == pytest.approx(metrics.recall_score(labels, guess, average=None)[1], abs=1e-6)
    shown = [metric.name for metric in METRICS]
    assert [name for name in more if name in shown] == [name for name in shown if name in more]
    assert [*more].index("recall[b]") == [*more].index("few_shot") + 1


def test_where_all_images_are_of_one_class_there_is_nothing_to_tell_it_from():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    found = named(logits, torch.tensor([0, 0]), torch.tensor([50.0, 50.0]), Asked(("recall[b]",), ("a", "b")), True)
    assert not {"auroc", "cohen_kappa", "quadratic_kappa", "recall[b]"} & set(found)
    assert found["matthews"] == 0 and found["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_cost_by_hand():
    task = CLASSIFICATION.judged_by({}, {"sick": {"well": 10}, "well": {"odd": 0}}, ("odd", "sick", "well"))
    logits = 5 * torch.eye(3)[[2, 2, 1, 0, 1]]
    meter = task.meter(torch.ones(3), targets := Targets.plain(torch.tensor([1, 1, 1, 2, 0])))
    meter.update(logits, targets)
    assert float(meter.compute()["cost"]) == pytest.approx((10 + 10 + 0 + 0 + 1) / 5)     # what is not named costs 1
    table = [[0, 1, 2], [3, 0, 4], [5, 6, 0]]
    meter = CLASSIFICATION.judged_by({}, table, ("odd", "sick", "well")).meter(torch.ones(3), targets)
    meter.update(logits, targets)
    assert float(meter.compute()["cost"]) == pytest.approx((4 + 4 + 0 + 5 + 1) / 5)


@pytest.mark.parametrize(("asked", "costs", "lines"), [
    ({"objective.metric": "recall[sik]"}, None,
     ["objective.metric: no class is called 'sik'. Did you mean sick? There is sick, well."]),
    ({"objective.metric": "top_2_accuracy"}, None,
     ["objective.metric: top_2_accuracy is 1 for every model of 2 classes. Take fewer than 2."]),
    ({}, [[0.0]], ["objective.costs: has 1 rows; there are 2 classes: sick, well."]),
    ({}, {"sick": {"wel": 1}}, ["objective.costs.sick.wel: no class is called 'wel'. Did you mean well? "
                                "There is sick, well."])])
def test_what_these_classes_cannot_have_is_refused(asked, costs, lines):
    with pytest.raises(DataError) as error:
        CLASSIFICATION.judged_by(asked, costs, ("sick", "well"))
    assert [*error.value.problems] == lines


def test_a_class_may_be_called_anything():
    task = CLASSIFICATION.judged_by({"objective.metric": "recall[a]/[b: c]"}, None, ("x", "a]/[b: c"))
    meter = task.meter(torch.ones(2), targets := Targets.plain(torch.tensor([1, 1, 0, 1])))
    meter.update(5 * torch.eye(2)[[1, 0, 0, 1]], targets)
    assert float(meter.compute()["recall[a]/[b: c]"]) == pytest.approx(2 / 3)


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
    values = named(logits[seen], labels[seen], whole=True).values()
    assert numpy.isfinite([*values]).all()


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
