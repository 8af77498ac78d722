"""Searches for detectors: killed and resumed, a worker lost, by both engines: all as with classes."""
import json
import multiprocessing
import os
import signal
import threading
import time

import pytest
import yaml

from autotricks.export import WEIGHTS
from autotricks.report import REPORT
from autotricks.runs import folder as folders
from autotricks.space.load import load_space
from autotricks.workflows import search as experiment

from ..tasks import scenes
from . import real

METRIC = "val/average_precision"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return scenes.coco(tmp_path_factory.mktemp("scenes") / "drawn", count=60)


def space(place, source, **search):
    """Write a small space of detectors, and return its path."""
    document = {
        "name": "boxes", "data": {"source": source, "task": "detection", "size": 32, "fit": "pad"},
        "model": {"name": "fcos:resnet8"}, "training": {"epochs": 4, "batch_size": 8},
        "search": {"engine": "local", "trials": 4, "sampler": "random", "parallel": 1, "seed": 0,
                   "rungs": {"first": 2, "reduction": 2}, **search},
        "confirm": {"top": 1, "seeds": 2},
        "tricks": {"adamw": {"lr": {"loguniform": [3e-3, 3e-2]}, "always": True}, "mosaic": {}, "copy_paste": {},
                   "ciou": {}, "soft_suppression": {}, "flip": {}}}
    path = place / "boxes.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def searched(place, path, listeners=(), confirm=False):
    given = experiment.Options(place / "runs", tracking="off", confirm=confirm)
    return experiment.search(load_space(path), given, listeners)


def story(folder):
    """Number, bundle, end and scores of every trial."""
    return [(trial.number, trial.hash, trial.end, tuple((line["rung"], line["metrics"][METRIC])
                                                        for line in trial.rungs)) for trial in real.trials(folder)]


@pytest.fixture(scope="module")
def unbroken(source, tmp_path_factory):
    place = tmp_path_factory.mktemp("unbroken")
    return searched(place, space(place, source)).folder


def test_a_search_killed_and_resumed_is_the_one_that_was_not(source, unbroken, tmp_path):
    root = tmp_path / "runs"
    driver = real.start("search", "--space", str(space(tmp_path, source)), "--no-confirm", "--tracking", "off",
                        "--root", str(root))
    end = time.monotonic() + 200
    try:
        while not any(path.read_bytes().count(b"\n") >= 4 for path in root.glob(f"*/{folders.LEDGER}")):
            assert driver.poll() is None and time.monotonic() < end, driver.communicate()
            time.sleep(0.01)
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    folder = next(root.iterdir())
    experiment.search(experiment.resume(folder), experiment.Options(root, folder, tracking="off", confirm=False))
    assert story(folder) == story(unbroken)
    assert (folder / WEIGHTS).read_bytes() == (unbroken / WEIGHTS).read_bytes()


class Killer:
    """A listener that kills the worker of the second trial once, shortly after it began."""

    def __init__(self):
        self.killed = []

    def started(self, trial):
        if trial.number == 1:
            threading.Timer(0.2, self._kill).start()

    def reached(self, trial, outcome, budget, score):
        """Another rung is done."""

    def ended(self, trial, end, score):
        """A trial is done."""

    def _kill(self):
        for worker in multiprocessing.active_children()[:1]:
            os.kill(worker.pid, signal.SIGKILL)
            self.killed.append(worker.pid)


def test_a_lost_worker_loses_no_trial(source, unbroken, tmp_path):
    killer = Killer()
    folder = searched(tmp_path, space(tmp_path, source), [killer]).folder
    assert killer.killed, "no worker was lost"
    assert story(folder) == story(unbroken)


def test_what_was_found_is_confirmed_on_test_and_told(source, tmp_path):
    result = searched(tmp_path, space(tmp_path, source), confirm=True)
    confirmed = json.loads((result.folder / "confirm.json").read_text())
    scores = confirmed["test"][str(confirmed["champion"])]["values"]
    assert confirmed["metric"] == "average_precision" and len(scores) == 2 and all(0 <= score <= 1 for score in scores)
    page = (result.folder / REPORT).read_text()
    assert "average precision" in page and "<svg" in page


@pytest.mark.ray
def test_both_engines_agree(source, unbroken, tmp_path):
    folder = searched(tmp_path, space(tmp_path, source, engine="ray")).folder
    assert [row[:3] for row in story(folder)] == [row[:3] for row in story(unbroken)]
    scores = [[score for _, score in row[3]] for row in story(folder)]
    assert scores == [pytest.approx([score for _, score in row[3]], abs=1e-6) for row in story(unbroken)]
