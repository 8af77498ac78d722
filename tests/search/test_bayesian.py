"""The default sampler: what it proposes, what it believes, what it stops; on made-up scores."""
import json
import math
import random
import statistics
import time
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from autotricks.core.bundle import Bundle, recipe
from autotricks.core.objective import Objective
from autotricks.core.plan import advice
from autotricks.runs.ledger import TrialRecord
from autotricks.space import Space
from autotricks.space.load import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import make, plan_of
from autotricks.tuning.bayesian_sampler import REPEATS, BayesianSampler
from autotricks.tuning.effect_model import LEVEL
from autotricks.tuning.features import Features
from autotricks.tuning.optuna_sampler import OptunaSampler
from autotricks.tuning.prior import Curve, Prior, load
from autotricks.tuning.proposal import Proposal
from autotricks.tuning.samplers import ranked, sampler_of
from autotricks.tuning.steps import Steps

from .spaces import MIXED, loaded

METRIC, BUDGETS = "val/balanced_accuracy", (1, 3, 9)
ENDS = {"stopped": 1, "diverged": 2, "finished": 3}     # rungs, at the last of which a trial ends
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
def space(tmp_path) -> Space:
    return loaded(tmp_path, MIXED).space


@pytest.fixture
def four(tmp_path) -> Space:
    return loaded(tmp_path, FOUR).space


def sampler(space, seed=0, metric=METRIC, maximize=True, prior=Prior()) -> BayesianSampler:
    return BayesianSampler(space, seed, BUDGETS, Objective(metric, maximize), prior)


def trained(made: BayesianSampler, number: int, bundle: Bundle, end: str, scores, proposed: Proposal | None = None,
            label: str = "", metric: str = METRIC) -> TrialRecord:
    """Tell a sampler how a trial went, as the search does, and return what the ledger holds of it, as JSON does."""
    rungs = []
    for rung, (budget, score) in enumerate(zip(BUDGETS[:ENDS[end]], scores, strict=False)):
        gone = end == "diverged" and rung == 1
        if not gone:
            made.report(number, budget, score)
        last = rung == ENDS[end] - 1
        rungs.append({"budget": budget, "rung": rung, "metrics": {metric: None if gone else score}, "epochs": 1,
                      "end": end if last and end != "stopped" else None})
    made.tell(number, rungs[-1]["metrics"][metric], end == "finished")
    kind, promise = (proposed.kind, proposed.promise) if proposed else ("", 0.0)
    found = TrialRecord(number, label, bundle.document(), None, bundle.hash, rungs, end, 1, "", kind, promise)
    return TrialRecord(**json.loads(json.dumps(asdict(found))))


def risen(final: float) -> list[float]:
    """Return scores that rise to a final one."""
    return [final - 0.2, final - 0.1, final]


def started(space, made: BayesianSampler, score: float = 0.5) -> TrialRecord:
    """Train the baseline, which every search does first."""
    made.adopt(0, space.baseline(), True)
    return trained(made, 0, space.baseline(), "finished", risen(score), label="baseline")


def score_of(bundle: Bundle) -> float:
    """Return a score that any history repeats: fair where the rate is near 0.05, better with mixup."""
    rates = [use.trick.lr for use in bundle.uses if "lr" in use.trick.declared()]
    return 0.7 - sum(abs(math.log(rate / 0.05)) for rate in rates) / 12 + 0.1 * ("mixup" in bundle.names())


# --- proposals

@pytest.mark.parametrize("prior", [
    Prior(), Prior({"mixup": (0.2, 0.1)}, curves={0.3: Curve(0.8, 0.3, -0.4, {"mixup": -0.2})})])
def test_same_history_same_proposal(space, prior):
    """Fourteen trials live, of all ends; then, from what the ledger holds alone, proposals again, to the bit."""
    made = sampler(space, prior=prior)
    past, proposals = [started(space, made)], [None]
    for number in range(1, 14):
        proposals.append(made.propose(number, number - 1))
        end = ("stopped", "finished", "diverged", "finished")[number % 4]
        bundle = proposals[-1].bundle
        past.append(trained(made, number, bundle, end, risen(score_of(bundle)), proposals[-1]))
    assert {record.end for record in past} == set(ENDS)
    for number in (1, 2, 5, 8, 12, 13):
        again = sampler(space, prior=prior)
        again.replay(past[:number], METRIC)
        assert again.propose(number, number - 1) == proposals[number]
    other = sampler(space, seed=1, prior=prior)
    other.replay(past[:13], METRIC)
    assert other.propose(13, 12) != proposals[13], "the seed of the search matters"


def test_a_proposal_is_legal_and_says_why(space):
    made = sampler(space)
    started(space, made)
    for number in range(1, 15):
        proposed = made.propose(number, number - 1)
        plan_of(proposed.bundle, CLASSIFICATION)                            # raises where tricks conflict
        assert advice(proposed.bundle.uses) == [] and "cosine" in proposed.bundle.names()
        assert space.locate(proposed.bundle) == proposed.picks is not None
        assert proposed.promise >= 0 and proposed.kind
        why, _, expected = proposed.why.partition("; expected ")
        middle, low, high = map(float, expected.replace(", ", " ").replace(" to ", " ").split())
        assert why and 0 < low <= middle <= high < 1
        trained(made, number, proposed.bundle, "finished", risen(score_of(proposed.bundle)), proposed)


def test_what_a_step_came_from_is_named(space):
    """Of one parent, in words what differs from it."""
    made = sampler(space)
    started(space, made)
    whys = []
    for number in range(1, 21):
        proposed = made.propose(number, number - 1)
        trained(made, number, proposed.bundle, "stopped", risen(0.4), proposed)
        if proposed.kind == "add":
            whys.append(proposed.why)
            new = set(proposed.bundle.names()) - set(space.baseline().names())
            assert proposed.why.startswith("from trial 0: ") and any(f"+ {name}" in proposed.why for name in new)
    assert whys


def test_no_bundle_is_trained_twice_with_one_seed(space):
    made = sampler(space)
    started(space, made)
    hashes = [space.baseline().hash]
    for number in range(1, 40):
        proposed = made.propose(number, number - 1)
        hashes.append(proposed.bundle.hash)
        end = ("stopped", "finished", "finished", "diverged")[number % 4]
        trained(made, number, proposed.bundle, end, risen(score_of(proposed.bundle)), proposed)
    assert len(set(hashes)) == 40


@pytest.mark.parametrize("seed", range(3))
def test_a_tiny_space_is_trained_again_with_other_seeds_and_ends(four, seed):
    """Four bundles and fourteen trials: each with `REPEATS` seeds at most, then there is nothing left."""
    made, found = sampler(four, seed), [four.baseline()]
    started(four, made)
    for number in range(1, 14):
        proposed = made.propose(number, number - 1)
        if proposed is None:
            break
        found.append(proposed.bundle)
        trained(made, number, proposed.bundle, "finished", risen(score_of(proposed.bundle)), proposed)
    assert len({bundle.hash for bundle in found}) == len(found) == min(14, 4 * REPEATS)
    times = Counter(map(recipe, found))
    assert len(times) == 4 and max(times.values()) <= REPEATS
    assert {bundle.seed for bundle in found} <= set(range(four.frame.seed, four.frame.seed + REPEATS))


def test_seeds_stay_within_what_a_file_may_hold(tmp_path):
    space = loaded(tmp_path, FOUR, f"search.seed={2**32 - 1}").space
    made = sampler(space)
    started(space, made)
    seeds = []
    for number in range(1, 4 * REPEATS):
        proposed = made.propose(number, number - 1)
        seeds.append(proposed.bundle.seed)
        trained(made, number, proposed.bundle, "finished", risen(0.6), proposed)
    assert len(set(seeds)) > 1 and all(0 <= seed < 2**32 for seed in seeds)


def test_trials_that_are_open_count(space):
    """Three proposals in a row without a result are three bundles, and a fourth is what it is after a resume."""
    made = sampler(space)
    past = [started(space, made)]
    proposals = [made.propose(number, number - 1) for number in (1, 2, 3, 4)]
    assert len({proposed.bundle.hash for proposed in proposals}) == 4
    again = sampler(space)
    again.replay(past, METRIC)
    for number in (1, 2, 3):
        again.adopt(number, proposals[number - 1].bundle, kind=proposals[number - 1].kind,
                    promise=proposals[number - 1].promise)
    assert again.propose(4, 3) == proposals[3]


def test_a_trial_that_a_ledger_leaves_open_speaks_neither_for_nor_against_its_tricks(space):
    made, other = sampler(space), sampler(space)
    past = [started(space, made)]
    bundle = replace(space.baseline(), uses=(*space.baseline().uses, make("mixup", {"alpha": 0.5})))
    open_ = TrialRecord(1, "", bundle.document(), None, bundle.hash, [], None, 1, "", "add", 0.1)
    other.replay([*past, open_], METRIC)
    assert [(known.number, pytest.approx(mean)) for known, mean, _ in other.ranking()] == [
        (known.number, mean) for known, mean, _ in made.ranking()]


def share_with(space, trick: str, better: bool, good: float, poor: float, **how) -> float:
    """Return how many of twelve proposals hold a trick after twenty trials in which it was better, or worse.

    One number follows for each from the same trials; those were drawn by another, with the trick or without.
    """
    drawn, past = OptunaSampler(space, "random", 0, True, 20), []
    for number in range(20):
        bundle = drawn.propose(number, number).bundle
        score = good if (trick in bundle.names()) == better else poor
        past.append(trained(sampler(space, **how), number, bundle, "finished", [score] * 3,
                            metric=how.get("metric", METRIC)))
    assert sum(trick in record.bundle["tricks"] for record in past) == 6
    found = []
    for number in range(20, 32):
        made = sampler(space, **how)
        made.replay(past, how.get("metric", METRIC))
        found.append(trick in made.propose(number, number).bundle.names())
    return sum(found) / len(found)


@pytest.mark.parametrize(("good", "poor", "how"), [
    (0.7, 0.5, {}), (0.3, 1.2, {"metric": "train/loss", "maximize": False}),
    (400.0, 100.0, {"metric": "train/images_per_second"})])
def test_it_learns_which_trick_helps(space, good, poor, how):
    helped, harmed = (share_with(space, "mixup", better, good, poor, **how) for better in (True, False))
    assert helped > harmed + 0.6


def test_a_prior_speaks_before_there_are_scores(space):
    """Of twelve first steps from the baseline, most hold the trick that helped elsewhere, few the one that harmed."""
    held = Counter()
    for number in range(1, 13):
        made = sampler(space, prior=Prior({"mixup": (1.0, 0.1), "cutmix": (-1.0, 0.1)}))
        started(space, made)
        held.update(made.propose(number, number - 1).bundle.names())
    assert held["mixup"] >= 9 and held["cutmix"] <= 2


def test_what_was_good_on_other_data_comes_first(space):
    """Each once, in its order, as far as the space holds it, with what is counted in epochs scaled to its length."""
    good = [Bundle((make("sgd", {"lr": 0.03}), make("cosine", {}), make("mixup", {"alpha": alpha}),
                    make("warmup", {"epochs": 6.0}), make("cutout", {})), epochs=54) for alpha in (0.5, 1.5)]
    made = sampler(space, prior=Prior({"mixup": (0.1, 0.1)}, portfolio=tuple(good)))
    started(space, made)
    found = [made.propose(number, number - 1) for number in (1, 2, 3)]
    alphas = [next((use.trick.alpha for use in proposed.bundle.uses if use.trick.name == "mixup"), None)
              for proposed in found[:2]]
    assert alphas == [0.5, 1.5]
    assert [proposed.bundle.names() for proposed in found[:2]] == [("cosine", "mixup", "sgd", "warmup")] * 2
    assert all(use.trick.epochs == 1.0 for proposed in found[:2] for use in proposed.bundle.uses
               if use.trick.name == "warmup")
    assert [proposed.kind for proposed in found[:2]] == ["portfolio"] * 2 and found[2].kind != "portfolio"


@pytest.mark.parametrize("text", [
    MIXED, MIXED.replace("{epochs: {quniform: [0, 2, 0.5]}}", "{epochs: {uniform: [0, 2]}, always: true}")])
def test_what_was_good_on_other_data_comes_once_where_the_space_must_add_to_it(tmp_path, text):
    """No adam is listed, so that another optimizer takes its seat; and a warmup may always be there."""
    space = loaded(tmp_path, text).space
    good = Bundle((make("adam", {}), make("cosine", {}), make("mixup", {"alpha": 0.5})), epochs=9)
    made = sampler(space, prior=Prior({"mixup": (0.1, 0.1)}, portfolio=(good,)))
    started(space, made)
    kinds = []
    for number in range(1, 7):
        proposed = made.propose(number, number - 1)
        kinds.append(proposed.kind)
        trained(made, number, proposed.bundle, "finished", risen(0.6), proposed)
    assert kinds[0] == "portfolio" and "portfolio" not in kinds[1:]


# --- what it believes

def flat(space, residual: float, noise: float) -> Prior:
    """Return a prior by which no trick or parameter does anything and no bundle tells of another."""
    names = Features([entry.name for entry in space.entries], BUDGETS[-1]).names
    return Prior(dict.fromkeys(names, (0.0, 1e-6)), residual, 1e-4, noise)


def several(space, count: int) -> list[Bundle]:
    drawn = OptunaSampler(space, "random", 5, True, count)
    return [drawn.propose(number, number).bundle for number in range(count)]


def test_the_best_of_many_single_scores_is_shrunk_to_what_it_is_worth(space):
    """By hand: of a bundle's distance from the level, residual^2 / (residual^2 + noise^2) is believed, here a half.

    The level is the mean of the scores, itself shrunk towards 0 by its own prior.
    """
    made, chance = sampler(space, prior=flat(space, 0.3, 0.3)), random.Random(2)
    logits = [chance.gauss(0.8, 0.4) for _ in range(12)]
    for number, (bundle, logit) in enumerate(zip(several(space, 12), logits, strict=True)):
        made.adopt(number, bundle)
        trained(made, number, bundle, "finished", [1 / (1 + math.exp(-logit))] * 3)
    level = statistics.fmean(logits) * LEVEL ** 2 / (LEVEL ** 2 + (0.3 ** 2 + 0.3 ** 2) / 12)
    expected = {number: level + 0.5 * (logit - level) for number, logit in enumerate(logits)}
    ranking = made.ranking()
    assert [known.number for known, _, _ in ranking] == sorted(expected, key=lambda number: -expected[number])
    assert [mean for _, mean, _ in ranking] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-4)
    assert made.score(ranking[0][1]) < 1 / (1 + math.exp(-max(logits))), "less than the best single score"


def test_more_seeds_are_believed_more(space):
    """One bundle has .72 with one seed, another .71 with three: the second is the better one by all evidence."""
    made = sampler(space, prior=flat(space, 0.2, 0.3))
    lucky, steady, *others = several(space, 6)
    runs = [(lucky, 0.72), *((replace(steady, seed=seed), 0.71) for seed in range(3)),
            *((bundle, 0.6) for bundle in others)]
    for number, (bundle, score) in enumerate(runs):
        made.adopt(number, bundle)
        trained(made, number, bundle, "finished", [score] * 3)
    ranking = made.ranking()
    assert [known.number for known, _, _ in ranking[:2]] == [1, 0], "the first trial of each bundle"
    assert len(ranking) == 6, "one of each bundle, whatever its seeds"


def test_only_what_was_trained_to_the_end_is_ranked(space):
    made = sampler(space)
    for number, (bundle, end) in enumerate(zip(several(space, 4), ("finished", "stopped", "diverged", "finished"))):
        made.adopt(number, bundle)
        trained(made, number, bundle, end, risen(0.5 + number / 10))
    assert {known.number for known, _, _ in made.ranking()} == {0, 3}


def test_where_less_is_better_the_least_is_best(space):
    made = sampler(space, metric="train/loss", maximize=False)
    for number, (bundle, loss) in enumerate(zip(several(space, 5), (2.0, 0.5, 1.0, 0.25, 4.0), strict=True)):
        made.adopt(number, bundle)
        trained(made, number, bundle, "finished", [2 * loss, 1.5 * loss, loss], metric="train/loss")
    assert made.ranking()[0][0].number == 3 and made.ranking()[-1][0].number == 4
    assert 0 < made.score(made.ranking()[0][1]) < made.score(made.ranking()[-1][1])


@pytest.mark.parametrize(("metric", "maximize", "score", "logit"), [
    ("val/accuracy", True, 0.75, math.log(3)), ("val/few_shot", True, 0.5, 0.0),
    ("train/loss", False, 0.5, math.log(2)), ("val/loss", False, 2.0, -math.log(2)),
    ("val/calibration_error", False, 0.125, math.log(8)), ("train/images_per_second", True, 1000.0, math.log(1000))])
def test_scores_on_the_scale_of_the_model_and_back(space, metric, maximize, score, logit):
    made = sampler(space, metric=metric, maximize=maximize)
    assert made.logit(score) == pytest.approx(logit) and made.score(logit) == pytest.approx(score)


@pytest.mark.parametrize(("metric", "maximize"), [
    ("val/accuracy", True), ("train/loss", False), ("train/images_per_second", True)])
def test_the_worst_and_the_best_score_there_can_be_are_figures(space, metric, maximize):
    made = sampler(space, metric=metric, maximize=maximize)
    found = [made.logit(score) for score in (0.0, 1e-12, 1.0)]
    assert all(map(math.isfinite, found)) and found == sorted(found, reverse=not maximize)


def test_a_score_that_is_not_finite_or_of_an_unknown_trial_is_none(space):
    made = sampler(space)
    started(space, made)
    before = made.ranking()
    made.report(0, 9, math.nan)
    made.report(7, 9, 0.9)
    made.tell(7, 0.9, True)
    assert made.ranking() == before


# --- what it stops

def at_a_rung(space, first: float, **how) -> bool:
    """Return whether a proposed trial goes on after a score at the first rung, others having had .5 there."""
    made = sampler(space, **how)
    started(space, made, 0.7)
    for number, bundle in enumerate(several(space, 8), 1):
        made.adopt(number, bundle)
        trained(made, number, bundle, "finished", risen(0.7 + number / 1000))
    made.propose(9, 8)
    made.report(9, 1, first)
    return made.keeps(9, 1)


def test_a_hopeless_trial_ends_at_a_rung_and_a_promising_one_goes_on(space):
    assert not at_a_rung(space, 0.05) and at_a_rung(space, 0.65)


def test_where_less_is_better_a_large_loss_ends_a_trial(space):
    def kept(first: float) -> bool:
        made = sampler(space, metric="train/loss", maximize=False)
        for number, bundle in enumerate(several(space, 9)):
            made.adopt(number, bundle)
            trained(made, number, bundle, "finished", [2.0, 1.5, 1.0 + number / 1000], metric="train/loss")
        made.propose(9, 9)
        made.report(9, 1, first)
        return made.keeps(9, 1)
    assert not kept(20.0) and kept(1.2)


def test_with_nothing_to_compare_with_a_trial_goes_on(space):
    made = sampler(space)
    made.adopt(0, space.baseline(), True)
    made.report(0, 1, 0.01)
    assert made.keeps(0, 1)


def test_early_scores_are_read_by_the_curve(space):
    """By the curve mixup starts more slowly than cutmix by 1: a score lower by 1 says as much for the plain bundle."""
    prior = Prior(dict.fromkeys(("mixup", "cutmix"), (0.0, 0.1)), curves={0.1: Curve(1.0, 0.1, -1.0, {"mixup": -1.0})})
    plain = space.baseline()

    def believed(trick: str, early: float) -> float:
        made = sampler(space, prior=prior)
        made.adopt(0, replace(plain, uses=(*plain.uses, make(trick, {}))))
        made.report(0, 1, 1 / (1 + math.exp(-early)))
        made.tell(0, 0.5, False)
        made.adopt(1, plain)
        trained(made, 1, plain, "finished", [0.5, 0.5, 0.5])
        (known, mean, _), = made.ranking()
        assert known.number == 1
        return mean
    assert believed("mixup", -0.7) == pytest.approx(believed("cutmix", 0.3))
    assert believed("mixup", -0.7) > believed("cutmix", -0.7) + 0.05


# --- which is the best by all evidence

@pytest.mark.parametrize("name", ["random", "tpe"])
def test_without_a_model_bundles_are_ranked_by_the_mean_of_their_seeds(tmp_path, name):
    """One bundle with .8 and .5, another with .7 and .66, a third with .67 once; what did not finish is not ranked."""
    given = loaded(tmp_path, MIXED, f"search.sampler={name}")
    lucky, steady, third, never = several(given.space, 4)
    runs = [(lucky, 0.8, "finished"), (steady, 0.7, "finished"), (third, 0.67, "finished"), (never, 0.9, "stopped"),
            (replace(lucky, seed=1), 0.5, "finished"), (replace(steady, seed=1), 0.66, "finished")]
    none = sampler(given.space)
    past = [trained(none, number, bundle, end, [score] * 3) for number, (bundle, score, end) in enumerate(runs)]
    assert ranked(given, past) == [(1, pytest.approx(0.68)), (2, pytest.approx(0.67)), (0, pytest.approx(0.65))]


def test_without_a_model_the_least_loss_is_ranked_first(tmp_path):
    given = loaded(tmp_path, MIXED, "search.sampler=random", "objective.metric=train/loss", "objective.mode=min")
    none = sampler(given.space)
    past = [trained(none, number, bundle, "finished", [loss] * 3, metric="train/loss")
            for number, (bundle, loss) in enumerate(zip(several(given.space, 3), (0.5, 1.5, 0.25), strict=True))]
    assert ranked(given, past) == [(2, 0.25), (0, 0.5), (1, 1.5)]


def test_with_a_model_the_score_is_what_it_thinks(tmp_path):
    given = loaded(tmp_path, MIXED)
    none = sampler(given.space)
    past = [trained(none, number, bundle, "finished", [score] * 3) for number, (bundle, score) in enumerate(
        zip(several(given.space, 8), (0.6, 0.6, 0.6, 0.85, 0.6, 0.6, 0.6, 0.6), strict=True))]
    number, score = ranked(given, past)[0]
    assert number == 3 and 0.6 < score < 0.85, "less than the best of many single scores"


def test_what_the_search_began_with_is_ranked_however_long_it_was(tmp_path):
    """After four hundred better trials the start bundles are compared with all the same: confirmation needs them."""
    given = loaded(tmp_path, MIXED, "start=[baseline, mixup_balanced_softmax]")
    none = sampler(given.space)
    past = [trained(none, number, bundle, "finished", [0.5] * 3, label=name)
            for number, (name, bundle) in enumerate(given.start.items())]
    rates = [10 ** (-2 + place / 400) for place in range(400)]
    past += [trained(none, number, replace(given.space.frame, uses=(make("sgd", {"lr": rate}), make("cosine", {}))),
                     "finished", [0.7] * 3) for number, rate in enumerate(rates, 2)]
    assert {0, 1} <= {number for number, _ in ranked(given, past)}


# --- which sampler a space has

def test_the_prior_that_ships_is_of_accuracies_alone(tmp_path):
    """For losses it is as if there were none; its curves are of the beginning of a training, not of a squeezed one."""
    assert sampler_of(loaded(tmp_path, MIXED))._prior == load("shipped")
    loss = sampler_of(loaded(tmp_path, MIXED, "objective.metric=train/loss", "objective.mode=min"))._prior
    assert (loss.effects, loss.curves, loss.portfolio) == ({}, {}, ())
    rescaled = sampler_of(loaded(tmp_path, MIXED, "search.rungs.fidelity=compressed"))._prior
    assert rescaled.curves == {} and rescaled.effects == load("shipped").effects
    assert sampler_of(loaded(tmp_path, MIXED, "search.prior=none"))._prior == Prior()


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_other_samplers_are_optunas(tmp_path, name):
    assert isinstance(sampler_of(loaded(tmp_path, MIXED, f"search.sampler={name}")), OptunaSampler)


# --- a long search

@pytest.mark.slow
def test_a_decision_takes_no_longer_after_ten_thousand_trials(monkeypatch):
    """Of the space that ships: 60 ms of one thread's time, whatever else the machine does."""
    space, rng = load_space("long_tail.yaml").space, random.Random(0)
    steps = Steps(space)
    few = [steps.legal(steps.draw(rng), rng) for _ in range(100)]
    made = BayesianSampler(space, 0, (6, 17, 50), Objective(METRIC), load("shipped"))
    monkeypatch.setattr(Space, "locate", lambda self, bundle: None)     # of no use here, and most of the time
    for number in range(10_000):
        rate, bundle = 10 ** rng.uniform(-3, -2), rng.choice(few)
        bundle = replace(bundle, uses=tuple(
            replace(use, trick=replace(use.trick, lr=rate)) if "lr" in use.trick.declared() else use
            for use in bundle.uses))
        made.adopt(number, bundle, kind=rng.choice(("tune", "add", "drop", "cross", "draw")), promise=0.01)
        score, end = rng.uniform(0.4, 0.8), rng.random() < 0.3
        for budget, rise in ((6, 0.0), (17, 0.05), (50, 0.1))[:3 if end else 1]:
            made.report(number, budget, score + rise)
        made.tell(number, score, end)
    monkeypatch.undo()
    took = []
    with threadpool_limits(1):      # threads that wait for each other spend time too
        for number in range(10_000, 10_005):
            began = time.thread_time()
            proposed = made.propose(number, number)
            made.report(number, 6, 0.6)
            made.keeps(number, 6)
            took.append(time.thread_time() - began)
            made.tell(number, 0.6, False)
            assert proposed is not None
    assert statistics.median(took) < 0.06, np.round(took, 3)
