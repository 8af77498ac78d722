"""Precision and layout settled once for all trials, by steps that are really timed."""
import time

import pytest
import torch
from torch import nn

from autotricks import precision
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.errors import SpaceError
from autotricks.space.load import load_space

SLOW = 0.05


class Slowed(nn.Module):
    """A linear model that lingers as long as it is told, by precision and layout of what it is given."""

    lingering: dict = {}

    def __init__(self, classes: int, channels: int):
        super().__init__()
        self.conv, self.head = nn.Conv2d(channels, 2, 1), nn.Linear(2, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kind = "bf16" if torch.is_autocast_enabled("cpu") else "fp32"
        nhwc = images.is_contiguous(memory_format=torch.channels_last)
        until = time.process_time() + self.lingering[f"{kind} {'nhwc' if nhwc else 'nchw'}"]
        while time.process_time() < until:
            pass
        return self.head(self.conv(images).mean((2, 3)))


def slowed(classes: int, channels: int) -> nn.Module:
    return Slowed(classes, channels)


def images(side: int) -> Dataset:
    split = Split(torch.randint(0, 256, (8, 3, side, side), dtype=torch.uint8), torch.arange(8) % 2)
    return Dataset(split, split, None, ("a", "b"), (0.5,) * 3, (0.25,) * 3, "made", "made")


@pytest.mark.parametrize(("arms", "side", "chosen"), [
    ({"fp32 nchw": 2, "fp32 nhwc": 1, "bf16 nhwc": 2}, 8, ("fp32", "nhwc")),
    ({"fp32 nchw": 1, "fp32 nhwc": 2, "bf16 nhwc": 2}, 32, ("fp32", "nchw")),
    ({"fp32 nchw": 2, "fp32 nhwc": 2, "bf16 nhwc": 1}, 32, ("bf16", "nhwc")),
    ({"fp32 nchw": 1.6, "fp32 nhwc": 1.6, "bf16 nhwc": 1.55}, 8, ("fp32", None)),      # too little to round off for
])
def test_the_fastest_is_taken(arms, side, chosen, monkeypatch):
    monkeypatch.setattr(Slowed, "lingering", {name: factor * SLOW for name, factor in arms.items()})
    found = precision.probe(Bundle((), f"{__name__}:slowed", batch_size=8), images(side), "cpu", trust=True)
    assert set(found.seconds) == set(arms)
    assert all(arms[name] * SLOW <= seconds < arms[name] * SLOW + 0.04 for name, seconds in found.seconds.items())
    assert found.precision == chosen[0] and found.layout == (chosen[1] or found.layout)


def test_a_short_step_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(Slowed, "lingering", {"fp32 nchw": 0.0})       # another arm would be a KeyError
    found = precision.probe(Bundle((), f"{__name__}:slowed", batch_size=8), images(8), "cpu", trust=True)
    assert (found.precision, found.layout) == ("fp32", "nchw") and len(found.seconds) == 1 and not found.unusual


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
