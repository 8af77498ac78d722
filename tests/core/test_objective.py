import pytest

from autotricks.core.objective import SPEED, Keep, Objective

ACCURACY, ERROR = "val/accuracy", "val/calibration_error"


@pytest.mark.parametrize(("keep", "ours", "theirs", "lost"), [
    (Keep(ACCURACY, 0.01), 0.90, 0.95, True),
    (Keep(ACCURACY, 0.01), 0.89, 0.90, False),     # 0.9 - 0.89 is 0.010000000000000009
    (Keep(ACCURACY, 0.0), 0.9, 0.9, False),
    (Keep(ACCURACY, 0.0), 0.95, 0.9, False),
    (Keep(ERROR, 0.02), 0.10, 0.05, True),         # less is better
    (Keep(ERROR, 0.02), 0.01, 0.05, False)])
def test_what_is_lost(keep, ours, theirs, lost):
    objective = Objective(SPEED, True, keep)
    assert objective.lost({keep.metric: ours}, {keep.metric: theirs}) is lost


def test_without_a_baseline_nobody_can_say_that_nothing_is_lost():
    objective = Objective(SPEED, True, Keep(ACCURACY, 0.5))
    assert objective.lost({ACCURACY: 0.9}, None) and objective.lost({}, {ACCURACY: 0.9})
    assert not Objective(SPEED).lost({}, None)


def test_it_is_read_as_the_file_has_it():
    found = Objective.of({"metric": SPEED, "mode": "max", "keep": {"metric": ACCURACY, "within": 0.02}})
    assert found == Objective(SPEED, True, Keep(ACCURACY, 0.02)) and found.sign == 1
    assert Objective.of({"metric": "val/loss", "mode": "min"}).sign == -1
    assert Objective.of({}) == Objective("val/balanced_accuracy", True, None)
