import random

import pytest

from autotricks.runs.ledger import TrialRecord
from autotricks.space import load_space
from autotricks.tuning.importance import FEWEST, importance
from autotricks.tuning.optuna_sampler import OptunaSampler

METRIC = "val/accuracy"


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "mine.yaml"
    path.write_text("name: mine\ntricks:\n  cosine: {always: true}\n  ema: {}\n  gradient_clipping: {}\n"
                    "  mixup: {alpha: {uniform: [0.1, 2.0]}}\n", "utf-8")
    return load_space(str(path)).space


def trials(space, count, score, budget=lambda names: 10):
    """Trials drawn at random, each with the score that `score` gives its tricks' names and parameters.

    Each by a chooser of its own, which does not know what was drawn before: they are independent.
    """
    found = []
    for number in range(count):
        proposed = OptunaSampler(space, "random", 3, True, count).propose(number, number)
        bundle, picks = proposed.bundle, proposed.picks
        names = bundle.names()
        end = "finished" if budget(names) == 10 else "stopped"
        rung = {"budget": budget(names), "metrics": {METRIC: score(names, picks)}, "epochs": 1, "end": None}
        found.append(TrialRecord(number, "", bundle.document(), picks, bundle.hash, [rung], end))
    return found


def shares(found):
    return {weight.name: weight.share for weight in found.weights}


def test_what_decides_has_most_of_it(space):
    chance = random.Random(0)
    records = trials(space, 60, lambda names, _: ("ema" in names) + 0.1 * chance.random())
    found = importance(space, records, METRIC, True)
    said = shares(found)
    assert found.weights[0].name == "ema" and said["ema"] > 0.5
    assert sum(said.values()) == pytest.approx(1)
    assert set(said) == {"ema", "gradient_clipping", "gradient_clipping.max_norm", "mixup", "mixup.alpha", "ema.decay"}


def test_a_parameter_is_weighed_among_the_trials_that_have_it(space):
    records = trials(space, 300, lambda _, picks: -abs(picks.get("mixup.alpha", 9.0) - 0.4))
    found = importance(space, records, METRIC, True)
    assert {weight.name for weight in found.weights[:2]} == {"mixup", "mixup.alpha"}
    taken = sum("mixup" in record.bundle["tricks"] for record in records)
    assert {weight.trials for weight in found.weights if weight.name.startswith("mixup")} == {taken}


def test_only_the_order_matters_and_a_longer_training_comes_first(space):
    records = trials(space, 40, lambda names, _: 0.5 * ("ema" in names) + 0.01 * len(names))
    other = trials(space, 40, lambda names, _: 100 ** (0.5 * ("ema" in names) + 0.01 * len(names)))
    assert importance(space, records, METRIC, True) == importance(space, other, METRIC, True)
    uneven = trials(space, 200, lambda names, _: float("mixup" in names), lambda names: 10 if "ema" in names else 2)
    even = trials(space, 200, lambda names, _: float("mixup" in names))
    assert shares(importance(space, even, METRIC, True))["ema"] < 0.05, "no score speaks for it"
    assert shares(importance(space, uneven, METRIC, True))["ema"] > 0.2, "but every trial that was kept has it"


def test_less_may_be_better(space):
    records = trials(space, 60, lambda names, _: 1.0 - ("ema" in names) - 0.3 * ("mixup" in names))
    mirrored = trials(space, 60, lambda names, _: ("ema" in names) + 0.3 * ("mixup" in names) - 1.0)
    assert importance(space, records, METRIC, False) == importance(space, mirrored, METRIC, True)
    assert importance(space, records, METRIC, False) != importance(space, records, METRIC, True)


def test_too_few_trials_say_nothing(space):
    assert importance(space, trials(space, FEWEST - 1, lambda names, _: 1.0), METRIC, True) is None
    few = trials(space, FEWEST, lambda names, _: float("ema" in names))
    assert not any("." in weight.name for weight in importance(space, few, METRIC, True).weights), "none was in all 10"
