"""Every legal pair of tricks trains one step: a tiny model, one batch, one epoch of one step and its evaluation.

The thousands of pairs are trained in a hundred and a half of bundles of up to eighteen tricks; by default in the first
third of them, which hold two thirds of the pairs. The slow test trains each alone.
"""
from functools import cache
from itertools import combinations

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems
from autotricks.core.run import ModelFactory
from autotricks.models.resnet import Block
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trainer import Trainer
from autotricks.tricks.catalog import catalog, plan_of
from tests.conftest import make_dataset, sampled

SIZE, PARTS = 18, 12    # tricks of a bundle; tests over which the bundles are spread, in order
FIRST = 4               # tests that run by default: the first bundles hold the most pairs that none before them held
SHORT = {"lr_finder": {"iterations": 20}}


class Tiny(nn.Module):
    """The shape of a model, with nothing in it that takes time."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)
        self.bn = nn.BatchNorm2d(4)
        self.layers = nn.Sequential(Block(4, 8, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.neck = nn.Identity()
        self.head = nn.Linear(8, 3)

    def forward_features(self, images):
        return self.layers(torch.relu(self.bn(self.stem(images))))

    def forward_head(self, features):
        return self.head(self.neck(self.pool(features).flatten(1)))

    def forward(self, images):
        return self.forward_head(self.forward_features(images))


@cache
def images():
    return make_dataset(counts=(8, 5, 3))


def uses(names):
    """Return the tricks, and one more for each trait that they need and do not bring one another."""
    tricks = [catalog()[name] for name in names]
    needed = {trait for trick in tricks for trait in trick.requires}
    missing = sorted(needed - {trait for trick in tricks for trait in trick.provides}, key=lambda trait: trait.name)
    tricks += [next(other for other in catalog().values() if trait in other.provides) for trait in missing]
    # the whole window where one is allowed: a trick that opens late would not be there for the one step
    return tuple(Use(trick(**SHORT.get(trick.name, {})), Window()) for trick in tricks)


@cache
def pairs():
    return [pair for pair in combinations(catalog(), 2) if not problems(uses(pair))]


@cache
def bundles():
    """Return legal bundles of up to eighteen tricks in which every legal pair is together at least once."""
    beside = {name: set() for name in catalog()}
    for one, other in pairs():
        beside[one].add(other)
        beside[other].add(one)
    left, found = {name: set(others) for name, others in beside.items()}, []
    while any(left.values()):
        names = [max(left, key=lambda name: len(left[name]))]
        fitting = [name for name in catalog() if name in beside[names[0]]]
        while fitting and len(names) < SIZE:
            best = max(fitting, key=lambda name: len(left[name].intersection(names)))
            if problems(uses((*names, best))):      # what the one needs may be what another refuses
                fitting.remove(best)
            else:
                names.append(best)
                fitting = [name for name in fitting if name in beside[best]]
        for name in names:
            left[name].difference_update(names)
        found.append(tuple(names))
    return found


def smallest(names, fails):
    """Return the fewest of the names that still fail together: none of them can be left out."""
    for name in names:
        fewer = tuple(other for other in names if other != name)
        if fails(fewer):
            names = fewer
    return names


def fault(pair, model=Tiny):
    """Train one step with the tricks; return what is wrong, or nothing."""
    torch.manual_seed(0)
    try:
        trainer = Trainer(plan_of(Bundle(uses(pair), epochs=1, batch_size=16), CLASSIFICATION), model(), images(),
                          supply=ModelFactory(fresh=model))
        metrics = next(trainer.epochs())
    except Exception as error:
        return f"{' + '.join(pair)}: {type(error).__name__}: {error}"
    finite = metrics.finite and all(bool(weight.isfinite().all()) for weight in trainer.evaluated.state_dict().values())
    return "" if finite else f"{' + '.join(pair)}: not finite: {metrics.values}"


def test_the_pairs_are_those_that_fit():
    legal = set(pairs())
    assert ("balanced_softmax", "mixup") in legal and ("class_weights", "label_smoothing") in legal
    assert ("cutmix", "mixup") not in legal and ("balanced_softmax", "focal") not in legal


def test_the_bundles_are_legal_and_hold_every_legal_pair():
    assert [names for names in bundles() if problems(uses(names))] == []
    together = {frozenset(pair) for names in bundles() for pair in combinations(names, 2)}
    assert {frozenset(pair) for pair in pairs()} <= together


def of_part(part):
    each = -(-len(bundles()) // PARTS)
    return bundles()[part * each:(part + 1) * each]


def test_what_runs_by_default_holds_every_trick_and_most_pairs():
    some = [names for part in range(FIRST) for names in of_part(part)]
    together = {frozenset(pair) for names in some for pair in combinations(names, 2)}
    assert {name for names in some for name in names} >= {*catalog()}
    assert sum(frozenset(pair) in together for pair in pairs()) > 0.6 * len(pairs())
    assert [names for part in range(PARTS) for names in of_part(part)] == bundles()


@pytest.mark.parametrize("part", sampled(range(PARTS), *range(FIRST)))
def test_every_legal_pair_trains_one_step_in_a_bundle(part):
    failed = [names for names in of_part(part) if fault(names)]
    assert [fault(smallest(names, lambda fewer: not problems(uses(fewer)) and fault(fewer))) for names in failed] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog())
def test_every_legal_pair_trains_one_step_alone(name):
    mine = [pair for pair in pairs() if pair[0] == name]
    assert [found for found in map(fault, mine) if found] == []


def test_the_guilty_of_a_bundle_are_found():
    assert smallest(tuple("abcdefgh"), lambda names: {"b", "g"} <= set(names)) == ("b", "g")
    assert smallest(tuple("abc"), lambda names: "c" in names) == ("c",)


def test_a_pair_that_fails_is_told():
    class Broken(Tiny):
        def forward(self, images):
            return super().forward(images) * torch.nan

    class Absent(Tiny):
        def forward(self, images):
            raise RuntimeError("no forward")

    assert fault(("mixup", "sgd")) == ""
    assert fault(("mixup", "sgd"), Broken).startswith("mixup + sgd: not finite")
    assert fault(("mixup", "sgd"), Absent) == "mixup + sgd: RuntimeError: no forward"
