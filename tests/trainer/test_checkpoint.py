from copy import deepcopy

import pytest
import torch

from autotricks.core.bundle import Use, Window
from autotricks.core.reporting import End
from autotricks.errors import RunError
from autotricks.trainer import checkpoint
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.optimizer.adabound import Adabound
from autotricks.tricks.optimizer.adam import Adam
from autotricks.tricks.optimizer.adamw import Adamw
from autotricks.tricks.optimizer.linear_scaling import LinearScaling
from autotricks.tricks.optimizer.lr_finder import LrFinder
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.parameters.no_bias_decay import NoBiasDecay
from autotricks.tricks.schedule.cosine import Cosine
from autotricks.tricks.schedule.lr_floor import LrFloor
from autotricks.tricks.schedule.one_cycle import OneCycle
from autotricks.tricks.schedule.step import Step
from autotricks.tricks.schedule.warmup import Warmup
from tests.trainer.made import EPOCHS, Doubled, Frozen, Hungry, Noise, differences, make_trainer, resnet, trained

BUNDLES = {
    "sgd": (Sgd(nesterov=True), Cosine()),
    "adam": (Adam(weight_decay=1e-4), Step(first=0.3, second=0.6, factor=0.1)),
    "adamw": (Adamw(), OneCycle()),
    "adabound": (Adabound(gamma=0.01), Step(first=0.3, second=0.8, factor=0.1), Warmup(epochs=1.5)),
    "amsbound": (Adabound(amsbound=True), Cosine(), LinearScaling()),
    "ema": (Ema(decay=0.9), Noise(), Cosine(), LrFloor()),
    "finder": (Adamw(), LrFinder(iterations=80), NoBiasDecay(), GradientClipping(max_norm=0.5), Cosine()),
    "windows": (Use(Noise(), Window(0.3, 0.7)), Use(Doubled(), Window(0.5, 1.0)),
                Use(GradientClipping(max_norm=0.1), Window(0.0, 0.42))),
}


def other():
    """A network of other weights, and torch's own generator in another state."""
    torch.manual_seed(99)
    return resnet()


@pytest.fixture(scope="module", params=BUNDLES)
def one_go(request, tmp_path_factory):
    """Train without a break: the uses, the trainer at the end, where checkpoints lie, and the states in them."""
    uses, folder, states = BUNDLES[request.param], tmp_path_factory.mktemp(request.param), {}
    whole = make_trainer(*uses)
    for metrics in whole.epochs():
        states[metrics.epoch] = deepcopy(whole.state_dict())
        checkpoint.save(whole.state_dict(), folder / str(metrics.epoch))
    return uses, whole, folder, states


@pytest.mark.parametrize("done", [1, 2, 3])
def test_resumed_training_equals_training_in_one_go(one_go, done):
    uses, whole, folder, states = one_go
    resumed = make_trainer(*uses, model=other)
    resumed.run.generator.manual_seed(99)
    resumed.load_state_dict(checkpoint.load(folder / str(done)))
    assert differences(resumed.state_dict(), states[done]) == []
    assert [metrics.epoch for metrics in resumed.epochs()] == list(range(done + 1, EPOCHS + 1))
    assert differences(resumed.state_dict(), whole.state_dict()) == []
    assert resumed.spent == whole.spent


def test_every_bundle_trains_another_model():
    """The resume test would pass on tricks that do nothing."""
    plain = trained(epochs=2).evaluated.state_dict()
    for name, uses in BUNDLES.items():
        assert differences(trained(*uses, epochs=2).evaluated.state_dict(), plain), name


def test_a_finished_state_trains_no_further(tmp_path):
    checkpoint.save(trained().state_dict(), tmp_path / "state")
    resumed = make_trainer()
    resumed.load_state_dict(checkpoint.load(tmp_path / "state"))
    assert resumed.end is End.FINISHED and list(resumed.epochs()) == []


@pytest.fixture
def saved(tmp_path):
    checkpoint.save(make_trainer().state_dict(), tmp_path / "state")
    return tmp_path / "state"


@pytest.mark.parametrize("place", [0, 10, 30, 60, 1000, -1])
def test_one_flipped_bit_is_refused(saved, place):
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(content)
    with pytest.raises(RunError, match=r"state: the checkpoint is damaged"):
        checkpoint.load(saved)


@pytest.mark.parametrize("length", [0, 5, 24, 40, 56, 1000, -1])
def test_a_file_cut_short_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(RunError, match=r"state: the checkpoint is damaged"):
        checkpoint.load(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"none: the checkpoint cannot be read: No such file"):
        checkpoint.load(tmp_path / "none")


def test_a_save_that_breaks_off_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"function": lambda: 0}, saved)
    assert saved.read_bytes() == before


def test_a_window_open_at_the_checkpoint_is_open_after_it(tmp_path):
    use = Use(Frozen(), Window(0.25, 1.0))
    whole, half = trained(use, model=Hungry), trained(use, model=Hungry, epochs=2)
    checkpoint.save(half.state_dict(), tmp_path / "state")
    resumed = make_trainer(use, model=Hungry)
    resumed.load_state_dict(checkpoint.load(tmp_path / "state"))
    list(resumed.epochs())
    assert differences(resumed.run.model.state_dict(), whole.run.model.state_dict()) == []
