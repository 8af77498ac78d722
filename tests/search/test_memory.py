"""What Optuna is shown of a long search."""
import optuna
import pytest

from autotricks.tuning import bounded_storage
from autotricks.tuning.bounded_storage import BoundedStorage


def told(maximize, values, monkeypatch):
    """Return the values that a study of these trials shows, with the best 2 and the last 3 kept."""
    monkeypatch.setattr(bounded_storage, "BEST", 2)
    monkeypatch.setattr(bounded_storage, "RECENT", 3)
    study = optuna.create_study(storage=BoundedStorage(maximize), direction="maximize" if maximize else "minimize")
    for value in values:
        trial = study.ask()
        if value is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return [trial.value for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize(("maximize", "shown"), [
    (True, [9.0, 8.0, 3.0, None, 5.0]), (False, [1.0, 2.0, 3.0, None, 5.0])])
def test_the_best_and_the_last_are_shown_in_their_order(maximize, shown, monkeypatch):
    assert told(maximize, [4.0, 9.0, 1.0, 8.0, None, 2.0, 3.0, None, 5.0], monkeypatch) == shown


def test_all_are_shown_while_they_are_few(monkeypatch):
    assert told(True, [4.0, None, 1.0], monkeypatch) == [4.0, None, 1.0]


def test_an_open_trial_is_shown_however_old_and_can_still_be_told(monkeypatch):
    monkeypatch.setattr(bounded_storage, "BEST", 1)
    monkeypatch.setattr(bounded_storage, "RECENT", 1)
    study = optuna.create_study(storage=BoundedStorage(True), direction="maximize")
    old = study.ask()
    for value in (1.0, 2.0, 0.0):
        study.tell(study.ask(), value)
    assert [trial.number for trial in study.get_trials()] == [0, 2, 3]
    study.tell(old, 7.0)
    assert [(trial.number, trial.value) for trial in study.get_trials()] == [(0, 7.0)]


def test_of_stopped_trials_the_one_that_came_furthest_and_then_scored_best_is_kept(monkeypatch):
    monkeypatch.setattr(bounded_storage, "BEST", 1)
    monkeypatch.setattr(bounded_storage, "RECENT", 1)
    study = optuna.create_study(storage=BoundedStorage(True), direction="maximize")
    for step, score in ((3, 0.9), (9, 0.1), (9, 0.2), (3, 0.3)):
        trial = study.ask()
        trial.report(score, step)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    assert [trial.number for trial in study.get_trials()] == [2, 3]


def test_of_a_trial_that_is_not_shown_nothing_is_kept_but_its_place(monkeypatch):
    monkeypatch.setattr(bounded_storage, "BEST", 1)
    monkeypatch.setattr(bounded_storage, "RECENT", 2)
    study = optuna.create_study(storage=BoundedStorage(True), direction="maximize")
    for value in (1.0, 9.0, 2.0, 3.0, 4.0):
        study.enqueue_trial({"x": value})
        trial = study.ask()
        trial.suggest_float("x", 0, 10)
        trial.report(value, 1)
        study.tell(trial, value)
    kept = [study._storage.get_trial(number) for number in range(5)]
    assert [(one.params, one.intermediate_values) for one in kept] == [
        ({}, {}), ({"x": 9.0}, {1: 9.0}), ({}, {}), ({"x": 3.0}, {1: 3.0}), ({"x": 4.0}, {1: 4.0})]
    assert not kept[0].distributions and not kept[0].system_attrs and study.best_params == {"x": 9.0}
