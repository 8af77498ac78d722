import json

import pytest
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.run import Runtime
from autotricks.core.slots import Slot
from autotricks.core.trick import Trick
from autotricks.models import build
from autotricks.probes.bottleneck import Finding, bottleneck, judged
from autotricks.trainer.profile import PARTS, Profile
from autotricks.tricks.load.image_transform import ImageTransform
from tests.clock import Clock
from tests.conftest import make_dataset

DATASET, WAIT, CLOCK = make_dataset(), 1.0, Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("autotricks.trainer.profile.time", CLOCK)


class SlowModel(nn.Module):
    """A small network that waits in its forward pass."""

    def __init__(self, classes, channels):
        super().__init__()
        self.body = build("resnet8", classes, channels)
        self.head = self.body.head if hasattr(self.body, "head") else nn.Identity()

    def forward(self, images):
        if self.training:
            CLOCK.sleep(WAIT)
        return self.body(images)


class SlowAugmentation(Trick):
    """Wait a batch."""

    seats = {Slot.AUGMENT: "erase"}

    def augment(self, inner, run):
        def waited(images):
            CLOCK.sleep(WAIT)
            return inner(images)
        return waited


class SlowLoading(Trick):
    """Wait for a batch's images."""

    seats = {Slot.LOAD: ImageTransform.seats[Slot.LOAD]}

    def load(self, inner, run):
        def waited(rows):
            CLOCK.sleep(WAIT)
            return inner(rows)
        return waited


@pytest.mark.parametrize(("trick", "model", "part", "where"), [
    (SlowLoading, "resnet8", "loading", "data"),
    (SlowAugmentation, "resnet8", "augmentation", "data"),
    (None, "tests.test_bottleneck:SlowModel", "forward", "compute")])
def test_injected_sleep_is_found(trick, model, part, where):
    uses = (Use(trick()),) if trick else ()
    found = bottleneck(Bundle(uses, model, batch_size=16), DATASET, trust=True)
    assert max(found.profile.parts, key=found.profile.parts.get) == part
    assert WAIT <= found.profile.parts[part] < 1.5 * WAIT
    assert (found.bottleneck == where and f"{found.profile.share(part):.0%}" in found.advice) or part == "forward"


def test_the_parts_add_up_to_the_wall_time(monkeypatch):
    """Against a clock around the whole second epoch; nothing is counted twice, and little is left over."""
    from autotricks.trainer.trainer import Trainer
    times, epoch = [], Trainer.train_epoch

    def clocked(self):
        started = CLOCK.perf_counter()
        metrics = epoch(self)
        times.append(CLOCK.perf_counter() - started)
        return metrics
    monkeypatch.setattr(Trainer, "train_epoch", clocked)
    found = bottleneck(Bundle((), "resnet8", batch_size=16), DATASET).profile
    assert tuple(found.parts) == PARTS and min(found.parts.values()) >= 0 and len(times) == 2
    assert found.steps == 5 and found.step * found.steps == pytest.approx(times[1], rel=0.02, abs=0.002)
    assert found.parts["other"] < 0.25 * found.step
    assert sum(found.share(name) for name in PARTS) == pytest.approx(1)


def test_evaluation_is_spread_over_the_steps_of_an_epoch(monkeypatch):
    """90 training images in batches of 1: 90 steps, of which 20 are trained; evaluation takes a little over 0.2 s."""
    from autotricks.trainer import trainer

    def slow(*given, evaluate=trainer.evaluate):
        CLOCK.sleep(0.2)
        return evaluate(*given)
    monkeypatch.setattr(trainer, "evaluate", slow)
    found = bottleneck(Bundle((), "resnet8", batch_size=1), DATASET).profile
    whole = bottleneck(Bundle((), "resnet8", batch_size=90), DATASET).profile
    assert found.steps == 20 and whole.steps == 1
    assert 0.2 <= found.parts["evaluation"] * 90 < 0.35 and 0.2 <= whole.parts["evaluation"] < 0.35


def made(**seconds):
    return Profile({name: seconds.get(name, 0.01) for name in PARTS}, 20)


@pytest.mark.parametrize(("seconds", "runtime", "where", "words"), [
    ({"loading": 1.0}, Runtime(), "data", "data.workers"),
    ({"augmentation": 1.0}, Runtime(), "data", "try without cutout"),
    ({"evaluation": 1.0}, Runtime(), "evaluation", "data.validation"),
    ({"optimizer": 1.0}, Runtime(), "optimizer", "batch_size: max"),
    ({"forward": 1.0}, Runtime(), "compute", "channels_last"),
    ({"backward": 1.0}, Runtime(channels_last=True, compile=True), "compute", "smaller model")])
def test_advice_names_what_to_change(seconds, runtime, where, words, monkeypatch):
    monkeypatch.setattr("autotricks.probes.bottleneck._has_bf16", lambda device: False)
    from autotricks.tricks.augment.cutout import Cutout
    assert (found := judged(made(**seconds), Bundle((Use(Cutout()),)), runtime, "cpu"))[0] == where
    assert words in found[1]


def test_half_precision_where_the_device_has_it(monkeypatch):
    monkeypatch.setattr("autotricks.probes.bottleneck._has_bf16", lambda device: True)
    assert "bf16, with channels_last" in judged(made(forward=1.0), Bundle(()), Runtime(), "cpu")[1]


def test_what_is_printed(capsys):
    from autotricks.cli.views.cards import profiled
    parts = dict(zip(PARTS, (0.010, 0.020, 0.030, 0.020, 0.010, 0.005, 0.005)))
    profiled(Finding(Profile(parts, 20), 640.0, "compute", "Do this."), False)
    out = capsys.readouterr().out
    assert "forward           30.00 ms  30.0%" in out and "step             100.00 ms 100.0%" in out
    assert out.endswith("640 images a second; the bottleneck is compute.\nDo this.\n")
    profiled(Finding(Profile(parts, 20), 640.0, "compute", "Do this."), True)
    assert json.loads(capsys.readouterr().out)["step"] == pytest.approx(0.1)
