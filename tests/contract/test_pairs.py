"""Every legal pair of tricks trains one step: a tiny model, one batch, one epoch of one step and its evaluation."""
from functools import cache
from itertools import combinations

import pytest
import torch
from torch import nn

from autotricks.catalog import catalog, plan_of
from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems
from autotricks.core.run import Supply
from autotricks.models.resnet import Block
from autotricks.trainer import Trainer
from tests.conftest import make_dataset


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
    needed = {trait for trick in tricks for trait in trick.needs}
    missing = sorted(needed - {trait for trick in tricks for trait in trick.brings}, key=lambda trait: trait.name)
    tricks += [next(other for other in catalog().values() if trait in other.brings) for trait in missing]
    # the whole window where one is allowed: a trick that opens late would not be there for the one step
    return tuple(Use(trick(), Window()) for trick in tricks)


def pairs():
    return [pair for pair in combinations(catalog(), 2) if not problems(uses(pair))]


def fault(pair, model=Tiny):
    """Train one step with the pair; return what is wrong, or nothing."""
    torch.manual_seed(0)
    try:
        trainer = Trainer(plan_of(Bundle(uses(pair), epochs=1, batch_size=16)), model(), images(),
                          supply=Supply(fresh=model))
        metrics = next(trainer.epochs())
    except Exception as error:
        return f"{' + '.join(pair)}: {type(error).__name__}: {error}"
    finite = metrics.finite and all(bool(weight.isfinite().all()) for weight in trainer.evaluated.state_dict().values())
    return "" if finite else f"{' + '.join(pair)}: not finite: {metrics.values}"


def test_the_pairs_are_those_that_fit():
    legal = set(pairs())
    assert ("balanced_softmax", "mixup") in legal and ("class_weights", "label_smoothing") in legal
    assert ("cutmix", "mixup") not in legal and ("balanced_softmax", "focal") not in legal


@pytest.mark.parametrize("name", catalog())
def test_every_legal_pair_trains_one_step(name):
    mine = [pair for pair in pairs() if pair[0] == name]
    assert [found for found in map(fault, mine) if found] == []


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
