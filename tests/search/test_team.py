"""A trial on several devices: processes of a team, on the CPU here, in the local engine and by themselves."""
import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch
from safetensors.torch import load as load_weights

from autotricks.core.bundle import Bundle
from autotricks.core.reporting import End
from autotricks.errors import RankError
from autotricks.runs.folder import LEDGER
from autotricks.runs.trial import RungPlan
from autotricks.space.load import load_space
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from autotricks.tuning.engines import local
from autotricks.tuning.engines.device_team import DeviceGroup, devices, train_on
from autotricks.tuning.engines.rung_training import arrays
from autotricks.workflows import search as experiment
from tests.conftest import timeless

from . import real
from .scripted import engine

BUNDLE = Bundle(tuple(make(name, values) for name, values in (
    ("sgd", {"lr": 0.01}), ("mixup", {}), ("class_balanced", {"start": 0.5}), ("group_norm", {}))),
    epochs=4, batch_size=15)
SLOW = Bundle((make("sgd", {"lr": 0.05}),), epochs=200, batch_size=16)


@pytest.mark.parametrize(("gpus", "place", "expected"), [
    (0, 3, ("cpu",)), (1, 0, ("cuda:0",)), (1, 2, ("cuda:2",)), (2, 0, ("cuda:0", "cuda:1")),
    (2, 1, ("cuda:2", "cuda:3")), (0.25, 3, ("cuda:0",)), (0.25, 4, ("cuda:1",)), (0.4, 1, ("cuda:0",)),
    (0.4, 2, ("cuda:1",)), (0.5, 5, ("cuda:2",))])
def test_no_gpu_is_given_to_more_than_its_share(gpus, place, expected):
    assert devices(gpus, place) == expected


@pytest.fixture
def pair(dataset):
    team = DeviceGroup(arrays(dataset), ("cpu", "cpu"), 2)
    yield team
    team.close()


def close(left, right):
    left, right = load_weights(left), load_weights(right)
    return left.keys() == right.keys() and all(torch.allclose(left[name], right[name], rtol=1e-3, atol=1e-5)
                                               for name in left)


def test_two_devices_climb_as_one(pair, dataset):
    alone = DeviceGroup(arrays(dataset), ("cpu",), 1)
    for course in (RungPlan((2, 4)), RungPlan((2, 4), compressed=False)):
        for rung in (0, 1):
            found, expected = (team.reach(course, BUNDLE if rung == 0 else None, rung) for team in (pair, alone))
            assert (found.end, found.epochs, len(found.curve)) == (expected.end, expected.epochs, len(expected.curve))
            assert timeless(found.metrics) == pytest.approx(timeless(expected.metrics), rel=1e-3, abs=1e-4)
        assert found.end is End.FINISHED and close(found.weights, expected.weights)
    first, = multiprocessing.active_children()
    diverged = pair.reach(RungPlan((1,)), Bundle((make("sgd", {"lr": 1e6}),), epochs=1, batch_size=16), 0)
    assert diverged.end is End.DIVERGED and multiprocessing.active_children() == [first]    # the team is kept warm


@pytest.mark.slow
def test_a_team_that_lost_a_process_has_a_new_one_for_the_next_climb(pair):
    pair.reach(RungPlan((1,)), BUNDLE, 0)
    threading.Timer(0.5, kill).start()
    began = time.monotonic()
    with pytest.raises(RankError, match="cpu, one of 2 devices: its process died, exit code -9"):
        pair.reach(RungPlan((200,)), SLOW, 0)
    assert time.monotonic() - began < 6
    assert pair.reach(RungPlan((1,)), BUNDLE, 0).end is End.FINISHED


def kill():
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGKILL)


def test_production_training_on_two_devices_is_that_on_one(dataset):
    heard = []
    found, expected = train_on(("cpu", "cpu"), BUNDLE, dataset, heard.append), run_trial(BUNDLE, dataset)
    assert [metrics.epoch for metrics in heard] == [1, 2, 3, 4] and found.end is expected.end is End.FINISHED
    assert all(torch.allclose(value, expected.model.state_dict()[name], rtol=1e-3, atol=1e-5)
               for name, value in found.model.state_dict().items())
    assert not multiprocessing.active_children()


class Killer:
    """A listener that kills the second process of the team in the midst of a rung of the first trial."""

    def __init__(self):
        self.killed, self.seen = set(), set()

    def started(self, trial):
        pass

    def reached(self, trial, outcome, budget, score):
        self.seen |= beside()
        if (trial.number, outcome.rung) == (0, 0):
            threading.Timer(0.02, self.kill).start()

    def kill(self):
        self.killed = beside()
        for number in self.killed:
            os.kill(number, signal.SIGKILL)

    def ended(self, trial, end, score):
        pass


def beside():
    """The processes that the workers of this one have started to train with: those of their servers."""
    known, inside = real.processes(), {process.pid for process in multiprocessing.active_children()}
    for _ in range(2):
        inside = {number for number, (parent, _, _) in known.items() if parent in inside}
    return inside


@pytest.mark.slow
def test_local_engine_takes_up_a_trial_whose_team_lost_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "devices", lambda gpus, place: ("cpu", "cpu"))
    killer = Killer()
    loaded = load_space("long_tail.yaml", [*real.SMALL, "search.trials=3", "training.epochs=16"])
    result = experiment.search(loaded, experiment.Options(root=tmp_path, tracking="off", confirm=False), [killer])
    lines = [line for line in real.read(result.folder / LEDGER)[0] if line["kind"] == "rung" and line["trial"] == 0]
    assert len(killer.killed) == 1
    assert [line["attempt"] for line in lines] == [1, *[2] * (len(lines) - 1)] and len(lines) == len({
        line["rung"] for line in lines}) > 1
    assert {trial.end for trial in real.trials(result.folder)} <= {"finished", "stopped"}
    assert len(killer.seen) == 2 and killer.killed < killer.seen
    assert real.gone(lambda: killer.seen & real.processes().keys())


def test_a_team_that_is_lost_again_and_again_fails_its_trial_and_says_why(tmp_path):
    """Workers that answer by a script: the detail in the ledger is the fault of the process beside."""
    gone = RankError("cuda:1, one of 2 devices: it is gone")
    result = real.search(tmp_path, "search.trials=2", engine=engine(lambda bundle, rung: gone))
    ends = [line for line in real.read(result.folder / LEDGER)[0] if line["kind"] == "end"]
    assert [(line["reason"], line["detail"]) for line in ends] == 2 * [
        ("failed", "its process died 3 times, cuda:1, one of 2 devices: it is gone")]
