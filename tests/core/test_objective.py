import pytest

from autotricks.core.objective import SPEED, Keep, Objective
from autotricks.tasks import metric, objective

ACCURACY, ERROR = "val/accuracy", "val/calibration_error"


@pytest.mark.parametrize(("keep", "ours", "theirs", "lost"), [
    (Keep(ACCURACY, 0.01), 0.90, 0.95, True),
    (Keep(ACCURACY, 0.01), 0.89, 0.90, False),     # 0.9 - 0.89 is 0.010000000000000009
    (Keep(ACCURACY, 0.0), 0.9, 0.9, False),
    (Keep(ACCURACY, 0.0), 0.95, 0.9, False),
    (Keep(ERROR, 0.02, False), 0.10, 0.05, True),  # less is better
    (Keep(ERROR, 0.02, False), 0.01, 0.05, False)])
def test_what_is_lost(keep, ours, theirs, lost):
    objective = Objective(SPEED, True, keep)
    assert objective.lost({keep.metric: ours}, {keep.metric: theirs}) is lost


def test_without_a_baseline_nobody_can_say_that_nothing_is_lost():
    objective = Objective(SPEED, True, Keep(ACCURACY, 0.5))
    assert objective.lost({ACCURACY: 0.9}, None) and objective.lost({}, {ACCURACY: 0.9})
    assert not Objective(SPEED).lost({}, None)


def test_it_is_read_as_the_file_has_it():
    found = objective({"metric": SPEED, "mode": "max", "keep": {"metric": ACCURACY, "within": 0.02}})
    assert found == Objective(SPEED, True, Keep(ACCURACY, 0.02)) and found.sign == 1
    assert objective({"metric": "val/loss", "mode": "min"}).sign == objective({"metric": "val/brier"}).sign == -1
    assert objective({}) == Objective("val/balanced_accuracy", True, None)
    assert objective({"keep": {"metric": ERROR, "within": 0.1}}).keep == Keep(ERROR, 0.1, maximize=False)


@pytest.mark.parametrize(("name", "words", "better"), [
    ("val/macro_f1", "macro F1", "max"), ("top_5_accuracy", "top-5 accuracy", "max"), ("val/cost", "cost", "min"),
    ("val/recall[a/b]", "recall of a/b", "max"), ("test/brier", "Brier score", "min"),
    (SPEED, "images per second", "max"),
    ("train/loss", "loss", "min"), ("val/of_another_version", "of another version", "max")])
def test_a_figure_says_what_it_is_and_what_is_better(name, words, better):
    assert (metric(name).words, metric(name).mode) == (words, better)


@pytest.mark.parametrize("name", ["top_1_accuracy", "top_05_accuracy", "top_5_accuracy_", "recall[]", "recall", "a[b]"])
def test_a_family_has_names_of_its_form_alone(name):
    assert metric(name).words == name.replace("_", " ")
