"""Workers killed in every way and at every moment; trainings that hang."""
import multiprocessing
import os
import random
import signal
import threading
import time
from multiprocessing import forkserver

import pytest

from autotricks.errors import EngineError
from autotricks.runs import folder as folders
from autotricks.space.load import load_space
from autotricks.space.sections import ConfirmSection
from autotricks.workflows import search as experiment
from autotricks.workflows.confirm import confirm_again

from ..search import deadly, real
from . import kept

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
WAYS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)


class Killer:
    """A listener that kills the only worker once a trial, at a moment of its own choosing.

    The worker may have answered and the kill hit the next trial: with one more of its own, that one lives still.
    """

    def __init__(self, injected, chance):
        self.injected, self.chance, self.armed = injected, chance, False

    def started(self, trial):
        self.armed = True
        self._soon()

    def reached(self, trial, outcome, budget, score):
        self._soon()

    def ended(self, trial, end, score):
        self.armed = False

    def _soon(self):
        threading.Timer(self.chance.uniform(0, 0.3), self._kill).start()

    def _kill(self):
        workers = multiprocessing.active_children()
        if workers and self.armed:
            self.armed, way = False, self.chance.choice(WAYS)
            os.kill(workers[0].pid, way)
            self.injected(f"worker killed by {way.name} (F1)")


def test_workers_killed_all_the_time(tmp_path, injected):
    trials = "search.trials=30"
    whole = real.search(tmp_path / "whole", trials)
    options = experiment.Options(tmp_path / "runs", tracking="off", confirm=False)
    result = experiment.search(real.small(trials), options, [Killer(injected, random.Random(0))])
    kept.ledger_goes_on([], result.folder)
    kept.as_unbroken(result.folder, whole.folder)
    assert real.gone(lambda: real.below(os.getpid()), 5)


def test_confirming_workers_killed_twice(tmp_path, injected):
    overrides = ("search.trials=3", "confirm.top=1", "confirm.seeds=3")
    killed = []

    def told(done, total):
        if done in (1, 3) and done not in killed:
            killed.append(done)
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
            injected("confirming worker killed (F1)")

    options = experiment.Options(tmp_path, tracking="off")
    result = experiment.search(real.small(*overrides), options, on_progress=told)
    assert killed == [1, 3] and result.confirmation is not None
    assert len(kept.lines(result.folder, "confirm.jsonl")) == 6
    kept.ledger_goes_on([], result.folder)
    assert real.gone(lambda: real.below(os.getpid()), 5)


# A model is built for every rung, and none by the probe of what precision is fast.
COUNTED = ("model.name=tests.search.deadly:net", *deadly.PINNED)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setenv(deadly.PLAN, str(tmp_path))
    forkserver._forkserver._stop()      # the next one has the environment
    deadly.begin(tmp_path)
    return tmp_path / "wrong"


def failed(folder) -> str:
    """Return why the third trial failed, after seeing that it alone did."""
    assert [trial.end for trial in real.trials(folder)][:3] == ["finished", "finished", "failed"]
    assert all(trial.end in ("finished", "stopped") for trial in real.trials(folder)[3:])
    return next(line["detail"] for line in kept.lines(folder) if line["kind"] == "end" and line["trial"] == 2)


ENDED = (r"its process died 3 times, exit code -14: no epoch ended within search\.patience\. "
         r"An epoch may take search\.patience, 10 s\.$")


@pytest.mark.parametrize(("what", "said"), [
    ("kill", "its process died 3 times, exit code -9: killed, for want of memory if nobody did it"),
    ("hang", "its process died 3 times, exit code -14: no epoch ended within search.patience")])
def test_trial_that_cannot_be_trained_fails_alone(plan, tmp_path, what, said, injected):
    """The two start trials build six models; the third trial goes wrong at each of its three attempts."""
    plan.write_text(f"{what}:7,8,9")
    loaded = load_space("long_tail.yaml", [*real.SMALL, "search.patience=10", *COUNTED],
                        trust=True)
    result = real.search(tmp_path / "runs", loaded=loaded, trust=True)
    injected({"kill": "killed as for want of memory (F10)", "hang": "hung training (F19)"}[what], 3)
    assert failed(result.folder) == said
    kept.ledger_goes_on([], result.folder)
    assert real.gone(lambda: real.below(os.getpid()), 5)
    assert (result.folder / folders.TABLE).exists()


def test_confirming_training_that_hangs_is_ended(plan, tmp_path, injected):
    """The two start trials build six models; the next is the first that is trained with a fresh seed."""
    plan.write_text("hang:7")
    loaded = load_space("long_tail.yaml", [*real.SMALL, "search.trials=2", "confirm.top=1", "confirm.seeds=1",
                                           "search.patience=10", *COUNTED], trust=True)
    options = experiment.Options(tmp_path / "runs", tracking="off", trust=True)
    result = experiment.search(loaded, options)
    injected("hung training (F19)")
    assert result.confirmation is not None and len(kept.lines(result.folder, "confirm.jsonl")) == 2
    assert {line["attempt"] for line in kept.lines(result.folder) if line["kind"] == "rung"} == {1}
    assert (tmp_path / "calls").stat().st_size >= 6 + 1 + 2     # one was begun twice
    plan.write_text("hang:" + ",".join(map(str, range(9, 30))))
    began = time.monotonic()
    with pytest.raises(EngineError, match=ENDED):
        confirm_again(result.folder, ConfirmSection(top=1, seeds=2), trust=True)
    injected("hung training (F19)", 3)
    assert 30 < time.monotonic() - began < 120
    assert len(kept.lines(result.folder, "confirm.jsonl")) == 2
    assert real.gone(lambda: real.below(os.getpid()), 5)
