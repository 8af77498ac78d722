"""Every legal pair of tricks trains one step: a tiny model, one batch, one epoch of one step and its evaluation.

The thousands of pairs are trained in a hundred and a half of bundles of up to eighteen tricks. The slow test trains
each alone. Where objects are to be found, the bundles hold the pairs of which one needs boxes; the slow test trains all
others too.
"""
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems, unsuited
from autotricks.core.run import ModelFactory
from autotricks.core.traits import DataTrait
from autotricks.models.dense import build_detector
from autotricks.models.resnet import Block
from autotricks.testing import striped_scenes
from autotricks.trainer import Trainer
from autotricks.tricks.catalog import catalog, plan_of
from tests.conftest import make_dataset

SIZE = 18       # tricks of a bundle
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


def few(dataset):
    """As many images as a step takes, to train and to validate on."""
    rows = torch.arange(16)
    return replace(dataset, train=dataset.train.take(rows), validation=dataset.validation.take(rows), test=None)


@dataclass(frozen=True)
class Setting:
    """What is trained on, what trains, and over how many tests the bundles are spread."""

    images: Callable[[], Any]
    model: Callable[[], nn.Module]
    parts: int


SETTINGS = {"classification": Setting(cache(lambda: make_dataset(counts=(8, 5, 3))), Tiny, 12),
            "detection": Setting(cache(lambda: few(striped_scenes((0.6, 0.4, 0.2)))),
                                 lambda: build_detector("fcos:resnet8", 3, 1), 2)}
PARTS = [(task, part) for task, setting in SETTINGS.items() for part in range(setting.parts)]


@cache
def names_of(task):
    """Return the tricks that can be used with the task's data."""
    traits = SETTINGS[task].images().traits
    return tuple(name for name, trick in catalog().items() if not unsuited(trick, traits))


def uses(names):
    """Return the tricks, and one more for each trait that they need and do not bring one another."""
    tricks = [catalog()[name] for name in names]
    needed = {trait for trick in tricks for trait in trick.requires}
    missing = sorted(needed - {trait for trick in tricks for trait in trick.provides}, key=lambda trait: trait.name)
    tricks += [next(other for other in catalog().values() if trait in other.provides) for trait in missing]
    # the whole window where one is allowed: a trick that opens late would not be there for the one step
    return tuple(Use(trick(**SHORT.get(trick.name, {})), Window()) for trick in tricks)


@cache
def pairs(task="classification"):
    return [pair for pair in combinations(names_of(task), 2) if not problems(uses(pair))]


def told(pair, task):
    """Whether the bundles of a task hold a pair: those of detection only if one of it needs boxes."""
    return task == "classification" or any(DataTrait.BOXES in catalog()[name].requires_data for name in pair)


@cache
def bundles(task="classification"):
    """Return legal bundles of up to eighteen tricks in which every legal pair is together at least once."""
    beside = {name: set() for name in names_of(task)}
    left = {name: set() for name in beside}
    for one, other in pairs(task):
        for group in (beside, left) if told((one, other), task) else (beside,):
            group[one].add(other)
            group[other].add(one)
    found = []
    while any(left.values()):
        names = [max(left, key=lambda name: len(left[name]))]
        fitting = [name for name in beside if name in beside[names[0]]]
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


def fault(pair, model=None, task="classification"):
    """Train one step with the tricks; return what is wrong, or nothing."""
    torch.manual_seed(0)
    data = SETTINGS[task].images()
    model = model or SETTINGS[task].model
    try:
        trainer = Trainer(plan_of(Bundle(uses(pair), epochs=1, batch_size=16), data.task, data.traits), model(), data,
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
    legal = set(pairs("detection"))
    assert ("dense_focal", "mixup") in legal and ("adamw", "giou") in legal
    assert not {"cutmix", "cross_entropy", "cosine_head"} & {name for pair in legal for name in pair}


@pytest.mark.parametrize("task", SETTINGS)
def test_the_bundles_are_legal_and_hold_every_legal_pair(task):
    assert [names for names in bundles(task) if problems(uses(names))] == []
    together = {frozenset(pair) for names in bundles(task) for pair in combinations(names, 2)}
    assert {frozenset(pair) for pair in pairs(task) if told(pair, task)} <= together


def of_part(task, part):
    """Of the bundles in their order: the first hold the most pairs that none before them held."""
    each = -(-len(bundles(task)) // SETTINGS[task].parts)
    return bundles(task)[part * each:(part + 1) * each]


@pytest.mark.parametrize(("task", "part"), PARTS)
def test_every_legal_pair_trains_one_step_in_a_bundle(task, part):
    def fails(names):
        return fault(names, task=task)
    failed = [names for names in of_part(task, part) if fails(names)]
    assert [fails(smallest(names, lambda fewer: not problems(uses(fewer)) and fails(fewer))) for names in failed] == []


@pytest.mark.parametrize("task", SETTINGS)
def test_the_parts_are_all_bundles(task):
    assert [names for part in range(SETTINGS[task].parts) for names in of_part(task, part)] == bundles(task)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name"), [(task, name) for task in SETTINGS for name in names_of(task)])
def test_every_legal_pair_trains_one_step_alone(task, name):
    mine = [pair for pair in pairs(task) if pair[0] == name]
    assert [found for found in (fault(pair, task=task) for pair in mine) if found] == []


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
