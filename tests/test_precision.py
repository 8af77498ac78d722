"""Precision and layout settled once for all trials, by work that is counted and by timings that are written down."""
import itertools
import random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.reporting import Metrics
from autotricks.core.slots import Slot
from autotricks.errors import SpaceError
from autotricks.export.bundle import text
from autotricks.probes import precision
from autotricks.space.load import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.workflows import search as experiment
from tests.asked import Asked, Passed, watched

ARMS = ("fp32 nchw", "fp32 nhwc", "bf16 nhwc")
LINEAR = 8 * (2 * 3 * 2 * 8 * 8 + 2 * 2 * 2)    # operations of a batch of 8 in `Slowed`: a product and a sum each
PREFIX = "training.precision: auto is "


class Clock:
    """A clock that stands still but for what is told to take time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Slowed(nn.Module):
    """A linear model that takes as long as it is told, by precision and layout of what it is given."""

    lingering: dict = {}
    clock = Clock()

    def __init__(self, classes: int, channels: int):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 2, 1, bias=False), nn.Linear(2, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kind = "bf16" if torch.is_autocast_enabled("cpu") else "fp32"
        nhwc = images.is_contiguous(memory_format=torch.channels_last)
        if self.training:
            self.clock.now += self.lingering[f"{kind} {'nhwc' if nhwc else 'nchw'}"]
        return self.head(self.conv(images).mean((2, 3)))


def slowed(classes: int, channels: int) -> nn.Module:
    return Slowed(classes, channels)


def images(side: int, count: int = 8) -> Dataset:
    split = Split.plain(torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8), torch.arange(count) % 2)
    return Dataset(split, split, None, ("a", "b"), (0.5,) * 3, (0.25,) * 3, "made", "made", CLASSIFICATION)


@pytest.fixture
def slow(monkeypatch):
    """Probe `Slowed` by a clock of its own, in so many seconds a step of each arm."""
    clock = Clock()
    monkeypatch.setattr(Slowed, "clock", clock)
    monkeypatch.setattr(precision, "time", SimpleNamespace(process_time=clock, perf_counter=clock))

    def probed(seconds: dict, side: int, work: float = LINEAR, arms: tuple = ()):
        monkeypatch.setattr(Slowed, "lingering", seconds)
        monkeypatch.setattr(precision, "WORK", work)
        return precision.probe(Bundle((), f"{__name__}:slowed", batch_size=8), images(side), "cpu", 1, True, arms)
    return probed


def timed(timings, arms=ARMS, order=None):
    """Choose by written timings: a function of an arm's name, and of how many steps it has done before."""
    clock = Clock()

    def steps(kind, layout):
        name = f"{kind} {layout}"
        for done in itertools.count():
            if order is not None:
                order.append(name)
            seconds = timings(name, done)
            if seconds is None:
                return
            clock.now += seconds
            yield Metrics(done + 1, {})
    return precision._probe(steps, arms, clock)


@pytest.mark.parametrize(("arms", "side", "chosen"), [
    ({"fp32 nchw": 2.0, "fp32 nhwc": 1.0, "bf16 nhwc": 2.0}, 8, "fp32 nhwc"),
    ({"fp32 nchw": 1.0, "fp32 nhwc": 2.0, "bf16 nhwc": 2.0}, 32, "fp32 nchw"),
    ({"fp32 nchw": 2.0, "fp32 nhwc": 2.0, "bf16 nhwc": 1.0}, 32, "bf16 nhwc"),
    ({"fp32 nchw": 1.15, "fp32 nhwc": 1.0, "bf16 nhwc": 1.0}, 8, "fp32 nchw"),      # no clear gain
    ({"fp32 nchw": 1.0, "fp32 nhwc": 1.15, "bf16 nhwc": 1.0}, 32, "fp32 nhwc"),
    ({"fp32 nchw": 2.0, "fp32 nhwc": 1.0, "bf16 nhwc": 0.9}, 8, "fp32 nhwc"),       # none over the better float32
])
def test_the_usual_stands_unless_another_is_clearly_faster(arms, side, chosen, slow):
    found = slow(arms, side, work=0)
    assert f"{found.precision} {found.layout}" == chosen
    assert found.seconds == pytest.approx(arms) and found.unusual


def test_a_model_of_little_work_is_not_timed(slow):
    found = slow({}, 8, work=LINEAR + 1)        # a step of any arm would be a KeyError
    assert (found.precision, found.layout, found.seconds, found.unusual) == ("fp32", "nchw", {}, False)
    with pytest.raises(KeyError):
        slow({}, 8, work=LINEAR)


def test_work_is_that_of_a_batch():
    found = precision.probe(Bundle((), "resnet8", batch_size=32), images(24, 40), "cpu")
    assert found.seconds == {} and str(found) == (
        f"{PREFIX}fp32, nchw: a batch takes 0.44 GFLOP forward, too few to gain by; steps are timed from 0.5 on")


def test_where_there_is_no_choice_nothing_is_done():
    found = precision.probe(Bundle((), "no such model"), images(8), "cpu", arms=("fp32 nhwc",))
    assert (found.precision, found.layout, found.seconds, found.unusual) == ("fp32", "nhwc", {}, False)
    assert str(found) == f"{PREFIX}fp32, nhwc: the space's tricks leave no choice"


def test_one_round_in_seven_may_be_spoilt():
    """It ends where nothing can change any more, with what all seven rounds would have said."""
    def chosen(hits):
        bf16 = (99.0, *(0.5 if hit else 0.9 for hit in hits))       # the first step is not counted
        return timed(lambda name, done: bf16[done] if name == "bf16 nhwc" else 1.0, ARMS[1:]).precision
    found = {hits: chosen(hits) for hits in itertools.product((True, False), repeat=7)}
    assert found == {hits: "bf16" if sum(hits) >= 6 else "fp32" for hits in found}


@pytest.mark.parametrize(("seconds", "line"), [
    ({"fp32 nhwc": 1.25, "bf16 nhwc": 0.56},
     "bf16, nhwc: fp32 nhwc took 1.25 of the time of fp32 nchw, less than 1.2 times as fast in 2 of 2 rounds; "
     "bf16 nhwc took 0.56 of the time of fp32 nchw, at least 1.2 times as fast in 6 of 6 rounds"),
    ({"fp32 nhwc": 0.5, "bf16 nhwc": 0.45},
     "fp32, nhwc: fp32 nhwc took 0.50 of the time of fp32 nchw, at least 1.2 times as fast in 6 of 6 rounds; "
     "bf16 nhwc took 0.90 of the time of fp32 nhwc, less than 1.2 times as fast in 2 of 2 rounds"),
    ({"fp32 nhwc": 0.93, "bf16 nhwc": None},
     "fp32, nchw: fp32 nhwc took 0.93 of the time of fp32 nchw, less than 1.2 times as fast in 2 of 2 rounds; "
     "bf16 nhwc cannot be held against fp32 nchw: bf16 nhwc broke down"),
])
def test_the_line_says_why(seconds, line):
    assert str(timed(lambda name, done: {"fp32 nchw": 1.0, **seconds}[name])) == PREFIX + line


def test_what_broke_down_is_not_beaten():
    found = timed(lambda name, done: None if name == "fp32 nchw" and done > 1 else 1.0)
    assert str(found) == (f"{PREFIX}fp32, nchw: fp32 nhwc cannot be held against fp32 nchw: fp32 nchw broke down; "
                          "bf16 nhwc cannot be held against fp32 nchw: fp32 nchw broke down")


def test_a_clock_that_stands_still_is_no_gain():
    assert timed(lambda name, done: 0.0).precision == "fp32"


def test_arms_take_turns_in_going_first():
    order = []
    timed(lambda name, done: {"fp32 nhwc": 1.0, "bf16 nhwc": 0.5}[name], ("fp32 nhwc", "bf16 nhwc"), order)
    one, other = "fp32 nhwc", "bf16 nhwc"
    assert order == [one, other] + [one, other, other, one] * 3


def taken(gains, noise=0.1, searches=4000):
    """Return how often each arm is taken where every timing has this noise, by a generator with a seed."""
    chance, found = random.Random(0), dict.fromkeys(ARMS, 0)
    for _ in range(searches):
        probed = timed(lambda name, done: chance.lognormvariate(0, noise) / gains[name])
        found[f"{probed.precision} {probed.layout}"] += 1
    return {name: count / searches for name, count in found.items()}


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.1])
def test_noise_does_not_make_a_gain(gain):
    assert taken({"fp32 nchw": 1.0, "fp32 nhwc": gain, "bf16 nhwc": gain})["fp32 nchw"] > 0.99


def test_noise_does_not_hide_a_gain():
    assert taken({"fp32 nchw": 1.0, "fp32 nhwc": 1.0, "bf16 nhwc": 1.8})["bf16 nhwc"] > 0.995
    assert taken({"fp32 nchw": 1.0, "fp32 nhwc": 1.8, "bf16 nhwc": 1.8})["fp32 nhwc"] > 0.995


@pytest.mark.parametrize(("overrides", "side", "arms"), [
    ([], 8, ARMS),
    ([], 32, ("fp32 nhwc", "fp32 nchw", "bf16 nhwc")),
    (["tricks.fp16={}"], 8, ("fp32 nchw", "fp32 nhwc")),
    (["tricks.channels_last={}"], 32, ("fp32 nhwc", "bf16 nhwc")),
    (["training.layout=nchw"], 32, ("fp32 nchw", "bf16 nchw")),
    (["tricks.bf16={}", "training.layout=nhwc"], 8, ("fp32 nhwc",)),
])
def test_what_a_space_settles_itself_is_not_timed(overrides, side, arms):
    """What is found stands in the space as it is written, so that a search that goes on reads it."""
    asked = []

    def run(function, frame, dataset, device, threads, trust, given):
        asked.append((function, len(dataset.train), given))
        return precision.Probed(*given[-1].split(), {})
    before = load_space("long_tail.yaml", [*overrides, "training.batch_size=6"])
    loaded, found = precision.with_precision(before, images(side), run=run)
    assert asked == [(precision.probe, 6, arms)] and f"{found.precision} {found.layout}" == arms[-1]
    training = loaded.document.training
    assert training.precision == found.precision
    if before.document.training.layout != "auto":
        assert training.layout == before.document.training.layout
    elif "tricks.channels_last={}" in overrides or found.layout == precision.usual(images(side)):
        assert training.layout == "auto"
    else:
        assert training.layout == found.layout


@pytest.mark.parametrize("overrides", [[], ["training.layout=nchw"], ["tricks.fp16={}"], ["tricks.channels_last={}"]])
def test_a_search_that_goes_on_reads_what_was_found(overrides, tmp_path):
    loaded, _ = precision.with_precision(load_space("long_tail.yaml", overrides), images(8), run=lambda *arguments:
                                         precision.Probed(*arguments[-1][-1].split(), {}))
    path = tmp_path / "space.yaml"
    path.write_text(text(loaded.resolved))
    again = load_space(path)
    assert again.resolved == loaded.resolved and again.document.training.precision != "auto"

    def runtime(loaded):
        return sorted((entry.name, str(entry.fixed), entry.always) for entry in loaded.space.entries
                      if Slot.RUNTIME in entry.trick.seats)
    assert runtime(again) == runtime(loaded)


@pytest.mark.parametrize("resumed", [True, False])
def test_a_search_that_goes_on_times_nothing(resumed, tmp_path, monkeypatch):
    watched(monkeypatch, "with_precision")
    loaded = load_space("long_tail.yaml", ["search.engine=local"])
    assert loaded.document.training.precision == "auto"
    with pytest.raises(Passed if resumed else Asked):
        experiment.search(loaded, experiment.Options(tmp_path, tmp_path if resumed else None, tracking="off"))


def test_every_bundle_is_trained_in_the_precision_that_is_settled():
    loaded = load_space("long_tail.yaml", ["training.precision=bf16", "training.layout=nhwc"])
    uses = [{use.trick.name: use.trick.values() for use in bundle.uses} for bundle in loaded.start.values()]
    assert len(uses) == 2 and all("bf16" in one and one["channels_last"] == {"on": True} for one in uses)
    drawn = loaded.space.draw(lambda name, domain: next(iter(getattr(domain, "options", (getattr(domain, "low", 0),)))))
    assert {"bf16", "channels_last"} <= set(drawn.names())
    assert "bf16" not in load_space("long_tail.yaml").start["baseline"].names()


def test_what_a_space_lists_is_not_settled_twice():
    with pytest.raises(SpaceError) as caught:
        load_space("long_tail.yaml", ["training.precision=bf16", "training.layout=nchw", "tricks.fp16={}",
                                      "tricks.channels_last={}"])
    assert [line.split("  ")[1] for line in caught.value.problems] == [
        "training.precision: tricks.fp16 settles the precision too. Drop one of the two.",
        "training.layout: tricks.channels_last settles the layout too. Drop one of the two."]
