"""Every trick trains on two ranks what it trains in one process that cuts its batches in two."""
from dataclasses import replace

import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems
from autotricks.testing import companions, striped_scenes
from autotricks.trial import prepare
from autotricks.tricks.catalog import catalog
from autotricks.tuning.engines.ranks import RankProcesses
from tests.conftest import make_dataset
from tests.contract.test_every_trick import DETECTOR, NAMES, SUITED, WINDOWED

pytestmark = pytest.mark.slow

# What depends on numbers that each rank draws in the model or the loss, or on statistics that batches before have left:
# those of two ranks are averaged, where two micro-batches move them twice.
OWN = {"dropout": "drops other activations", "stochastic_depth": "drops other branches",
       "seql": "leaves out other labels", "batch_renorm": "normalizes by running statistics",
       "cross_iteration_bn": "normalizes by batches before",
       "sync_bn": "is for GPUs; tests/trainer/test_distributed.py"}
LATE = dict.fromkeys(("bitfit", "gradual_unfreezing", "linear_probe"), "goes on with running statistics")


def job(name, window=Window(), model=Bundle.model):
    """The trick with group norm, which sees one image at a time, where it goes with it."""
    made = Bundle((Use(catalog()[name](), window), *companions(catalog()[name])), model, epochs=2, batch_size=16)
    wider = replace(made, uses=(*made.uses, Use(catalog()["group_norm"]())))
    return made if name == "group_norm" or problems(wider.uses) else wider


def trained(made, pieces=1, together=False):
    images = striped_scenes(count=48) if made.model == DETECTOR else make_dataset()     # 90: five steps an epoch
    trainer = prepare(made, images, together=together)
    trainer.run.runtime = replace(trainer.run.runtime, micro_batches=max(pieces, trainer.run.runtime.micro_batches))
    for _ in trainer.epochs():
        pass
    return trainer


class Rank:
    def __init__(self, device):
        torch.set_num_threads(1)
        torch.compile = lambda model: model     # as tests/contract does in the first process

    def __call__(self, made):
        return trained(made, together=True)


@pytest.fixture(scope="module")
def others():
    followers = RankProcesses(("cpu", "cpu"), Rank)
    yield followers
    followers.close()


@pytest.mark.parametrize(("name", "start"), [
    *((name, 0.0) for name in SUITED if name not in OWN),
    *((name, 0.3) for name in WINDOWED if name in SUITED and name not in OWN | LATE)])
def test_two_ranks_are_one_process(others, name, start):
    compare(others, job(name, Window(start, 1.0)))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SUITED])
def test_two_ranks_are_one_process_that_finds_objects(others, name):
    slow = Use(catalog()["sgd"](lr=0.01))
    made = job(name, model=DETECTOR)
    compare(others, replace(made, uses=(*made.uses, slow)))


def compare(others, made):
    expected = trained(made, 2)
    others.tell(made)
    with others.lockstep():
        found = trained(made, together=True)
    weights = dict(found.run.model.named_parameters())
    far = {key: float((value - weights[key]).abs().max()) for key, value in expected.run.model.named_parameters()
           if not torch.allclose(value, weights[key], rtol=1e-3, atol=1e-4)}
    assert far == {}


def test_what_is_left_out_is_in_the_catalog():
    assert set(OWN | LATE) <= set(NAMES)
