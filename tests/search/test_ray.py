"""The Ray engine with real processes; one Ray for the whole module."""
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
import ray

from autotricks.core.bundle import Bundle
from autotricks.runs import folder as folders
from autotricks.runs.trial import RungPlan
from autotricks.tricks.catalog import make
from autotricks.tuning.engines.device_team import DeviceGroup
from autotricks.tuning.engines.ray_cluster import connect
from autotricks.tuning.engines.rung_training import arrays
from autotricks.workflows import search as experiment
from tests.conftest import timeless

from . import real

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    connect(None, 2)
    yield
    ray.shutdown()
    assert real.gone(lambda: real.below(os.getpid()), 20)


def actors() -> list[int]:
    """Return the processes in which Ray Tune trains."""
    return [number for number, words in real.below(os.getpid()).items() if words.startswith("ray::ResourceTrainable")]


class Killer:
    """A listener that kills the only actor in the midst of the last rung of the first trial."""

    def __init__(self):
        self.killed, self.heard = [], []

    def started(self, trial):
        self.heard.append(trial.number)

    def reached(self, trial, outcome, budget, score):
        if (trial.number, outcome.rung) == (0, 1):
            threading.Timer(0.05, self.kill).start()

    def kill(self):
        actor, = actors()
        self.killed.append(actor)
        os.kill(actor, signal.SIGKILL)

    def ended(self, trial, end, score):
        pass


def test_trainings_do_not_give_way_to_all_other_work(cluster):
    """Ray itself would have its workers be as nice as can be."""
    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


@pytest.fixture(scope="module")
def hurt(cluster, tmp_path_factory):
    killer = Killer()
    options = experiment.Options(root=tmp_path_factory.mktemp("ray"), tracking="off", confirm=False)
    result = experiment.search(real.small("search.engine=ray"), options, [killer])
    return SimpleNamespace(result=result, folder=result.folder, killer=killer)


def test_one_slot_searches_as_the_local_engine_does_though_an_actor_was_killed(hurt, finished):
    assert len(hurt.killer.killed) == 1
    assert real.story(hurt.folder) == real.story(finished.folder)
    assert hurt.result.champion.trial.number == finished.result.champion.trial.number
    assert (hurt.folder / "champion.safetensors").read_bytes() == (
        finished.folder / "champion.safetensors").read_bytes()


def test_killed_actor_is_replaced_and_its_trial_counts_once(hurt):
    lines = real.read(hurt.folder / folders.LEDGER)[0]
    attempts = [line["attempt"] for line in lines if line["kind"] == "rung"]
    assert attempts[:3] == [1, 1, 2] and set(attempts[3:]) == {1}     # it went on from the rung it had reached
    assert [line["trial"] for line in lines if line["kind"] == "trial"] == list(range(6)) == hurt.killer.heard
    assert [line["trial"] for line in lines if line["kind"] == "end"] == list(range(6))


def test_no_actor_is_left(hurt):
    assert real.gone(actors)


@pytest.mark.slow
def test_prefix_with_one_slot_searches_as_the_local_engine_does(cluster, tmp_path):
    stories = []
    for engine in ("ray", "local"):
        result = real.search(tmp_path / engine, f"search.engine={engine}", "search.rungs.fidelity=prefix")
        stories.append(real.story(result.folder))
    assert stories[0] == stories[1]


@pytest.mark.slow
def test_several_slots_end_every_trial(cluster, tmp_path):
    result = real.search(tmp_path, "search.engine=ray", "search.parallel=2", "search.trials=10", "search.sampler=tpe",
                         "training.epochs=8")
    past = real.trials(result.folder)
    assert result.slots == 2
    assert [trial.number for trial in past] == list(range(10))
    assert {trial.end for trial in past} <= {"finished", "stopped", "diverged"}
    assert [len(trial.rungs) for trial in past if trial.label] == [4, 4]
    best = max(trial.score(real.METRIC) for trial in past if trial.end == "finished")
    assert result.champion.score == best


@pytest.mark.slow
def test_finished_search_resumed_ends_at_once(cluster, hurt):
    before = (hurt.folder / folders.LEDGER).read_bytes()
    loaded, started = experiment.resume(hurt.folder), time.monotonic()
    result = experiment.search(
        loaded, experiment.Options(hurt.folder.parent, hurt.folder, tracking="off", confirm=False))
    assert time.monotonic() - started < 20
    assert (hurt.folder / folders.LEDGER).read_bytes() == before
    assert result.champion.trial == hurt.result.champion.trial or result.champion.trial.bundle == (
        hurt.result.champion.trial.bundle)
    assert result.champion.score == hurt.result.champion.score


@pytest.mark.slow
def test_a_worker_of_ray_leads_a_team(cluster, dataset):
    """Two processes inside one task, on CPUs here; a task with two GPUs has as many devices."""
    bundle = Bundle((make("sgd", {"lr": 0.05}), make("mixup", {}), make("group_norm", {})), epochs=2, batch_size=15)

    def trained(parts, where):
        with closing(DeviceGroup(parts, where, 2)) as team:
            return team.reach(RungPlan((2,)), bundle, 0)
    parts = arrays(dataset)
    task, alone = ray.remote(trained).options(num_cpus=1), trained(parts, ("cpu",))
    found = ray.get(task.remote(parts, ("cpu", "cpu")))
    assert timeless(found.metrics) == pytest.approx(timeless(alone.metrics), rel=1e-3, abs=1e-4)
    assert len(found.curve) == 2 and found.weights
