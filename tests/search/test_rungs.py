import random
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from autotricks.tuning.halving import Halving, budgets, percentile


@pytest.mark.parametrize(("epochs", "first", "reduction", "expected"), [
    (27, 3, 3, (3, 9, 27)),
    (30, 3, 3, (3, 10, 30)),
    (32, 2, 4, (2, 8, 32)),
    (5, 3, 3, (5,)),
    (5, 5, 2, (5,)),
    (9, 9, 3, (9,)),
    (26, 3, 3, (3, 9, 26)),    # 26 / 9 = 2.9, rounded to 3
    (22, 3, 3, (7, 22)),       # 22 / 9 = 2.4 would be below the first
    (200, 8, 5, (8, 40, 200)),
    (3, 1, 2, (1, 2, 3)),
    (1, 1, 2, (1,)),
    (2, 1, 3, (1, 2)),
])
def test_budgets_by_hand(epochs, first, reduction, expected):
    assert budgets(epochs, first, reduction) == expected


def test_budgets_rise_to_the_last_and_none_lies_below_the_first():
    for epochs in range(1, 120):
        for first in range(1, epochs + 1):
            for reduction in (2, 3, 4, 7):
                found = budgets(epochs, first, reduction)
                assert found[-1] == epochs and found[0] >= min(first, epochs)
                assert all(low < high for low, high in pairwise(found))
                assert all(abs(low - high / reduction) <= 1 for low, high in pairwise(found))
                assert found[0] < reduction * first + reduction   # one more rung would have lain below the first


def test_first_to_arrive_goes_on_and_the_worse_stop():
    rule = Halving(3, 2)
    assert rule.keeps(0, 0.5)           # nobody before
    assert not rule.keeps(0, 0.4)       # below the only one
    assert rule.keeps(0, 0.5)           # 2/3 of the way from 0.4 to 0.5 is 0.467
    assert rule.keeps(0, 0.48) is False  # of (0.4, 0.5, 0.5) the cutoff is 0.5
    assert rule.keeps(1, 0.1)           # the next rung has scores of its own


def test_a_percentile_is_numpys_to_the_bit():
    chance = random.Random(0)
    for size in (*range(1, 40), 300, 301):
        scores = sorted(chance.random() for _ in range(size))
        for reduction in (2, 3, 4, 5, 7):
            percent = (1 - 1 / reduction) * 100
            assert percentile(scores, percent) == np.percentile(scores, percent)


def test_ties_go_on():
    rule = Halving(4, 1)
    assert all(rule.keeps(0, 0.25) for _ in range(20))


def asha(reduction: int, rungs: int):
    """Ray's scheduler with one time step for each rung, as the engine sets it up."""
    from ray.tune.schedulers import ASHAScheduler

    return ASHAScheduler(time_attr="t", metric="score", mode="max", grace_period=1, reduction_factor=reduction,
                         max_t=reduction ** rungs)


def test_decisions_are_those_of_ray():
    from ray.tune.schedulers import TrialScheduler

    chance, stops, goes = random.Random(1), 0, 0
    for _ in range(300):
        reduction, rungs, trials = chance.choice((2, 3, 4)), chance.randint(1, 4), chance.randint(1, 30)
        ours, theirs = Halving(reduction, rungs), asha(reduction, rungs)
        levels = chance.choice((3, 10, 10_000))   # few levels: many ties
        alive = dict.fromkeys(range(trials), 0)
        known = {number: SimpleNamespace(trial_id=str(number)) for number in alive}
        for trial in known.values():
            theirs.on_trial_add(None, trial)
        while alive:
            number = chance.choice(list(alive))
            rung, score = alive[number], chance.randint(-levels, levels) / levels
            decision = theirs.on_trial_result(None, known[number], {"t": reduction ** rung, "score": score})
            kept = ours.keeps(rung, score)
            assert kept == (decision == TrialScheduler.CONTINUE), (reduction, rung, score)
            stops, goes = stops + (not kept), goes + kept
            alive[number] += 1
            if not kept or alive[number] == rungs:
                del alive[number]
    assert min(stops, goes) > 1000


def test_trials_with_a_trick_to_come_are_compared_among_themselves():
    rule = Halving(2, 2)
    assert rule.keeps(0, 0.9) and not rule.keeps(0, 0.1)
    assert rule.keeps(0, 0.1, waits=True)           # the first of its kind
    assert not rule.keeps(0, 0.05, waits=True) and rule.keeps(0, 0.2, waits=True)
    assert not rule.keeps(0, 0.4)                   # of (0.9, 0.1) the cutoff is 0.5
