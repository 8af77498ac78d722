import itertools
import math
from collections import Counter
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from autotricks.core.bundle import recipe
from autotricks.core.plan import advice
from autotricks.errors import SpaceError
from autotricks.runs.ledger import TrialRecord
from autotricks.space.load import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import bundle_from, make, plan_of
from autotricks.tuning.optuna_sampler import OptunaSampler
from autotricks.tuning.proposal import Proposal

from .spaces import COUNTED, MIXED, loaded

METRIC = "score"
FOUR = """
name: four
training: {epochs: 9}
search: {trials: 14, rungs: {first: 1, reduction: 3}}
tricks:
  cosine: {always: true}
  mixup: {alpha: 0.2}
  no_bias_decay: {}
"""


@pytest.fixture
def space(tmp_path):
    return loaded(tmp_path, MIXED).space


def chooser(space, sampler="tpe", seed=0, trials=20) -> OptunaSampler:
    return OptunaSampler(space, sampler, seed, True, trials)


def told(made: OptunaSampler) -> list[optuna.trial.FrozenTrial]:
    return made._study.get_trials()


def score_of(bundle, budget) -> float:
    """Return a score that any history repeats: smaller learning rates and longer training are better."""
    rates = [use.trick.lr for use in bundle.uses if "lr" in use.trick.declared()]
    return 1 - abs(math.log(rates[0] / 0.05)) / 10 + budget / 100 if rates else 0.5 + budget / 100


def live(made: OptunaSampler, number: int, proposed: Proposal, end: str) -> TrialRecord:
    """Tell a chooser how a trial went, as the search does, and return what the ledger would hold of it."""
    bundle, picks = proposed.bundle, proposed.picks
    rungs = []
    for rung, budget in enumerate((1, 3, 9)[:{"stopped": 1, "diverged": 2, "finished": 3}[end]]):
        score = score_of(bundle, budget)
        gone = end == "diverged" and rung == 1
        if not gone:
            made.report(number, budget, score)
        rungs.append({"budget": budget, "rung": rung, "metrics": {METRIC: None if gone else score}})
    made.tell(number, rungs[-1]["metrics"][METRIC], end == "finished")
    return TrialRecord(number, "", bundle.document(), picks, bundle.hash, rungs, end)


def test_ends_as_optuna_hears_them(space):
    made = chooser(space)
    for number, end in enumerate(("stopped", "diverged", "finished")):
        live(made, number, made.propose(number, number), end)
    stopped, diverged, finished = told(made)
    assert stopped.state is TrialState.PRUNED and list(stopped.intermediate_values) == [1]
    assert diverged.state is TrialState.PRUNED and diverged.intermediate_values == {}
    assert finished.state is TrialState.COMPLETE and list(finished.intermediate_values) == [1, 3, 9]
    assert finished.value == finished.intermediate_values[9]


@pytest.mark.parametrize(("maximize", "best"), [(True, 0.75), (False, 0.25)])
def test_the_best_is_the_largest_score_or_the_least_as_the_search_has_it(space, maximize, best):
    made = OptunaSampler(space, "tpe", 0, maximize, 20)
    for number, score in enumerate((0.25, 0.75)):
        made.propose(number, number)
        made.tell(number, score, True)
    assert made.study.best_value == best


def test_score_that_is_not_finite_is_no_score(space):
    made = chooser(space)
    made.propose(0, 0)
    made.report(0, 1, math.nan)
    made.tell(0, math.nan, True)
    assert told(made)[0].state is TrialState.PRUNED
    made.tell(0, 1.0, True)      # it has ended: nothing changes
    made.report(5, 1, 1.0)       # never heard of
    assert len(told(made)) == 1


def test_replayed_history_looks_as_it_did_live(space):
    made = chooser(space)
    past = [live(made, number, made.propose(number, number), end)
            for number, end in enumerate(("finished", "stopped", "diverged", "finished"))]
    again = chooser(space)
    again.replay(past, METRIC)
    for before, after in zip(told(made), told(again), strict=True):
        assert (before.state, before.params, before.distributions, before.intermediate_values) == (
            after.state, after.params, after.distributions, after.intermediate_values)
        assert before.value == after.value or before.state is TrialState.PRUNED


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_same_history_same_proposal(space, sampler):
    """Sixteen trials live; then, from the ledger alone, each proposal again. TPE models from the ninth on."""
    made, past, proposals = chooser(space, sampler), [], []
    for number in range(16):
        proposals.append(made.propose(number, number))
        end = ("stopped", "finished", "stopped", "diverged")[number % 4]
        past.append(live(made, number, proposals[-1], end))
    for number in (0, 1, 9, 15):
        again = chooser(space, sampler)
        again.replay(past[:number], METRIC)
        assert again.propose(number, number) == proposals[number]
    other = chooser(space, sampler, seed=1)
    other.replay(past[:15], METRIC)
    assert other.propose(15, 15) != proposals[15]
    assert len({proposed.bundle.hash for proposed in proposals}) == 16


def proposals_with_mixup(space, sampler: str, better: bool, before: int = 12) -> int:
    """Return how many of 24 proposals hold mixup after trials in which it was better, or worse."""
    made, past = chooser(space, sampler), []
    for number in range(before):
        proposed = made.propose(number, number)
        bundle, picks = proposed.bundle, proposed.picks
        score = float(("mixup" in bundle.names()) == better)
        past.append(TrialRecord(number, "", bundle.document(), picks, bundle.hash,
                                [{"budget": 9, "metrics": {METRIC: score}}], "finished"))
    found = 0
    for number in range(before, before + 24):
        again = chooser(space, sampler)
        again.replay(past, METRIC)
        found += "mixup" in again.propose(number, number).bundle.names()
    return found


def test_tpe_learns_from_history_and_random_does_not(space):
    assert proposals_with_mixup(space, "tpe", True) > proposals_with_mixup(space, "tpe", False) + 6
    assert proposals_with_mixup(space, "random", True) == proposals_with_mixup(space, "random", False)


@pytest.mark.parametrize(("shipped", "sampler", "trials"), [
    (False, "tpe", 60), (False, "random", 60), (True, "random", 60),
    (True, "tpe", 20), pytest.param(True, "tpe", 60, marks=pytest.mark.slow)])   # it models from the eleventh on
def test_only_legal_bundles_are_proposed(space, sampler, shipped, trials):
    space = load_space("long_tail.yaml").space if shipped else space
    made, met = chooser(space, sampler, trials=trials), set()
    everything = {entry.name for entry in space.entries}
    for number in range(trials):
        proposed = made.propose(number, number)
        bundle, picks = proposed.bundle, proposed.picks
        assert (proposed.why, proposed.kind, proposed.promise) == ("", "", 0.0), "it has no reasons"
        plan_of(bundle, CLASSIFICATION)                          # raises where tricks conflict
        assert advice(bundle.uses) == []
        assert "cosine" in bundle.names()
        assert bundle_from(bundle.document()) == bundle
        assert space.locate(bundle) == picks
        met.update(bundle.names())
        made.tell(number, score_of(bundle, 9), True)
    assert met == everything if trials == 60 else len(met) > 20


def test_bundle_of_the_space_is_adopted(space):
    made = chooser(space)
    bundle = replace(space.frame, uses=(make("sgd", {"lr": 0.03, "nesterov": True}), make("cosine", {}),
                                        make("mixup", {"alpha": 0.5, "stop": 0.8}), make("warmup", {"epochs": 1.5})))
    picks = made.adopt(0, bundle)
    assert picks is not None
    assert picks["optimizer.base"] == "sgd" and picks["sgd.lr"] == 0.03 and picks["mixup.stop"] == 0.8
    assert picks["label_smoothing"] is False
    assert told(made)[0].params == picks
    made.tell(0, 0.9, True)
    assert told(made)[0].value == 0.9


@pytest.mark.parametrize("uses", [
    [("sgd", {"lr": 0.9}), ("cosine", {})],                         # outside the range
    [("sgd", {"lr": 0.03}), ("cosine", {}), ("focal", {})],         # a trick that is not listed
    [("sgd", {"lr": 0.03})],                                        # without one that is always there
    [("sgd", {"lr": 0.03}), ("cosine", {}), ("warmup", {"epochs": 1.2})],   # between two steps
])
def test_bundle_outside_the_space_is_not_adopted(space, uses):
    made = chooser(space)
    assert made.adopt(0, replace(space.frame, uses=tuple(make(*use) for use in uses))) is None
    assert told(made) == []
    made.report(0, 1, 0.5)       # it runs all the same, unknown to Optuna
    made.tell(0, 0.5, True)
    assert told(made) == []


def test_grid_walks_everything_once_and_ends(tmp_path):
    space = loaded(tmp_path, COUNTED).space
    expected = set()
    for rate, warm, mixed, exempt in itertools.product((0.05, 0.1), (None, 0.5, 1.0, 1.5), (None, "cutmix", "mixup"),
                                                       (False, True)):
        uses = [make("sgd", {"lr": rate}), make("cosine", {})]
        uses += [make("warmup", {"epochs": warm})] if warm else []
        uses += [make(mixed, {"alpha": {"cutmix": 1.0, "mixup": 0.2}[mixed]})] if mixed else []
        uses += [make("no_bias_decay", {})] if exempt else []
        expected.add(replace(space.frame, uses=tuple(uses)).hash)
    made = chooser(space, "grid", trials=100)
    found = []
    while (proposed := made.propose(len(found) + 1, len(found))) is not None:
        found.append(proposed.bundle.hash)
        made.tell(len(found), 0.5, True)
    assert len(found) == len(expected) == 48
    assert set(found) == expected


def test_grid_ends_with_the_trials(tmp_path):
    made = chooser(loaded(tmp_path, COUNTED).space, "grid", trials=5)
    assert [made.propose(number, number) is None for number in range(7)] == [False] * 5 + [True] * 2


def test_grid_over_a_range_without_steps_is_refused(space):
    with pytest.raises(SpaceError) as caught:
        chooser(space, "grid")
    lines = caught.value.problems
    assert [line.split(":")[0] for line in lines] == [
        "tricks.sgd.lr", "tricks.adamw.lr", "tricks.label_smoothing.epsilon", "tricks.mixup.alpha",
        "tricks.cutmix.alpha"]
    assert "quniform" in lines[0]


# --- bundles that were there before

@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("seed", [0, 2**32 - 2])
def test_in_a_tiny_space_no_bundle_is_trained_twice_with_one_seed(tmp_path, sampler, seed):
    """Four bundles and fourteen trials: all of them, and then with other seeds, which a file may hold."""
    space = loaded(tmp_path, FOUR, f"search.seed={seed}").space
    made, found = chooser(space, sampler, trials=14), [space.baseline()]
    made.adopt(0, space.baseline(), True)
    made.tell(0, 0.5, True)
    for number in range(1, 14):
        proposed = made.propose(number, number - 1)
        found.append(proposed.bundle)
        assert space.locate(proposed.bundle) == proposed.picks
        made.tell(number, 0.5 + number / 100, True)
    assert len({bundle.hash for bundle in found}) == 14
    assert len(Counter(map(recipe, found))) == 4
    assert len({recipe(bundle) for bundle in found[:4]}) == 4 and {bundle.seed for bundle in found[:4]} == {seed}
    assert all(0 <= bundle.seed < 2**32 for bundle in found)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_search_of_a_tiny_space_takes_the_same_seeds(tmp_path, sampler):
    space = loaded(tmp_path, FOUR).space
    made, past, proposals = chooser(space, sampler), [], []
    for number in range(14):
        proposals.append(made.propose(number, number))
        past.append(live(made, number, proposals[-1], ("finished", "stopped", "diverged")[number % 3]))
    for count in (1, 5, 9, 13):
        again = chooser(space, sampler)
        again.replay(past[:count], METRIC)
        assert again.propose(count, count) == proposals[count]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_draws_that_were_not_new_push_no_trial_out_of_memory(tmp_path, sampler):
    """Forty trials of four bundles, for each of which some twenty draws are thrown away: all forty are remembered."""
    made = chooser(loaded(tmp_path, FOUR).space, sampler, trials=40)
    for number in range(40):
        made.propose(number, number)
        made.tell(number, 0.5, True)
    assert [trial.state for trial in told(made) if trial.state is not TrialState.FAIL] == [TrialState.COMPLETE] * 40
    assert all(trial.params for trial in told(made) if trial.state is TrialState.COMPLETE)


def test_a_grid_leaves_out_what_is_trained_anyhow(tmp_path):
    """Two start bundles of the grid, one of them with another seed, and one that the space does not hold."""
    space = loaded(tmp_path, COUNTED).space
    plain = replace(space.frame, uses=(make("sgd", {"lr": 0.1}), make("cosine", {})))
    mixed = replace(space.frame, seed=7, uses=(*plain.uses, make("mixup", {"alpha": 0.2})))
    other = replace(space.frame, uses=(*plain.uses, make("mixup", {"alpha": 0.3})))
    made, found = OptunaSampler(space, "grid", 0, True, 100), []
    for number, bundle in enumerate((plain, mixed, other), start=1000):
        made.adopt(number, bundle, start=True)
        made.tell(number, 0.5, True)
    while (proposed := made.propose(len(found), len(found))) is not None:
        found.append(proposed.bundle)
        made.tell(len(found) - 1, 0.5, True)
    assert len(found) == len({bundle.hash for bundle in found}) == 46
    assert {recipe(plain), recipe(mixed)}.isdisjoint(map(recipe, found))
