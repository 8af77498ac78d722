"""How long a search takes: closed forms, a probe against a real training, and the time left as trials end."""
import math
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autotricks.cli.views import progress
from autotricks.cli.views.progress import Progress
from autotricks.probes import duration as probe
from autotricks.probes.duration import Duration, Timing, duration, in_words, milliseconds, probed, quick_duration
from autotricks.space.load import load_space
from autotricks.trial import run_trial
from autotricks.tuning.workload import Rung, Workload, workload
from tests.search.spaces import MIXED, loaded

TIMING = Timing(step=0.25, image=0.125, begin=2.0)


def sized(train, validation, test):
    """Return what stands for a data set where its numbers of images alone count."""
    return SimpleNamespace(train=range(train), validation=range(validation), test=range(test))


@pytest.fixture
def space(tmp_path):
    return loaded(tmp_path, MIXED, "search.engine=local", "confirm.top=2", "confirm.seeds=2", "search.sampler=random",
                  "search.trials=8", "search.trainings=2")


def test_a_training_is_its_steps_and_evaluations():
    assert TIMING.training(9, 10, 50, 4) == 2 + 9 * (10 * 0.25 + 4 * 0.125) + 50 * 0.125
    assert TIMING.training(9, 10, 5000, 4) == 2 + 9 * (10 * 0.25 + 4 * 0.125) + 1000 * 0.125   # all looked at


def test_a_search_on_two_slots_in_closed_form(space, monkeypatch):
    """Two trainings of 9 epochs, 640 images in batches of 64; six trainings with fresh seeds, three at a time twice."""
    monkeypatch.setattr(probe, "cores", lambda: 2)
    work = workload(space)
    training = TIMING.training(9, 10, 640, 40)
    found = duration(TIMING, work, space, sized(640, 40, 80), 2)
    between = work.left * probe.EACH
    assert found.search == pytest.approx((2 * training + between) / 2 + training / 2)
    assert found.confirmation == pytest.approx(3 * training + 3 * 2 * 80 * 0.125)
    assert found.total == pytest.approx(probe.BEGIN["local"] + found.search + found.confirmation)
    alone = duration(TIMING, work, space, sized(640, 40, 80), 1)
    assert alone.search == pytest.approx(2 * training + between)
    none = duration(TIMING, replace(work, confirmations=0), space, sized(640, 40, 80), 1, seconds=30.0)
    assert (none.search, none.confirmation) == (30.0, 0.0)
    beside = duration(replace(TIMING, others=2.0), work, space, sized(640, 40, 80), 2)     # four want two cores
    assert beside.total == pytest.approx(2 * found.total)


@pytest.mark.parametrize(("seconds", "said"), [
    (0.4, "5 s"), (42.6, "45 s"), (58, "1 min"), (90.1, "2 min"), (3540, "59 min"), (4790, "1 h 20 min"), (7190, "2 h"),
    (86400, "24 h"), (190_000, "2 d 5 h"), (172_900, "2 d")])
def test_times_in_words(seconds, said):
    assert in_words(seconds) == said


def test_a_duration_in_words():
    assert [milliseconds(value) for value in (0.0009, 0.0123, 3.44)] == ["0.9 ms", "12 ms", "3.4 s"]
    assert str(Duration(10, 3590, 1200, 0.0121, 2)) == (
        "about 1 h 20 min, 20 min of it for confirmation (probe: 12 ms a step, 2 at a time)")
    assert str(Duration(5, 25, 0, 0.5, 1, 1.26)) == (
        "about 30 s (probe: 500 ms a step, 1 at a time, beside other work for 1.3 cores)")


def test_the_probe_says_what_trainings_take(dataset, space, monkeypatch):
    """Whole trainings of the same bundle, in time at work; the bound is wide, as caches and clock rates differ."""
    space = replace(space, start={"baseline": space.start["baseline"]}, images=len(dataset.train))
    monkeypatch.setattr(probe, "PROPOSED", 0)
    timing = probed(space, dataset, 1)
    bundle = space.start["baseline"].rescaled(3)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        started = time.thread_time()
        run_trial(bundle, dataset)
        taken = time.thread_time() - started
    finally:
        torch.set_num_threads(before)
    steps = len(dataset.train) // min(bundle.batch_size, len(dataset.train))
    said = timing.training(3, steps, len(dataset.train), len(dataset.validation))
    assert 0.5 * taken < said < 2 * taken
    assert torch.get_num_threads() == before


def test_batches_that_take_long_are_timed_in_part(dataset, space, monkeypatch):
    """Where an image takes 40 ms, two and sixteen are timed, and 64 are four times the sixteen."""
    sizes = []

    def timed(self, bundle, size, steps):
        sizes.append(size)
        return Timing(0.04 * size, 0.01, 0.0)
    monkeypatch.setattr(probe._Steps, "timed", timed)
    monkeypatch.setattr(probe, "LIMIT", 1.5)
    space = replace(space, start={name: replace(bundle, batch_size=64) for name, bundle in space.start.items()})
    assert probed(space, dataset, 1).step == pytest.approx(64 * 0.04) and sizes[:2] == [2, 16] and 64 not in sizes


def test_what_cannot_be_trained_has_no_duration(dataset, space, monkeypatch):
    def broken(self, bundle, size, steps):
        raise RuntimeError("no such operator")
    monkeypatch.setattr(probe._Steps, "timed", broken)
    assert probed(space, dataset, 1) is None
    assert quick_duration(load_space("long_tail.yaml"), 1) == (
        "not known: the baseline cannot be trained on this machine; the search says why")


def test_data_that_take_long_to_read_are_left_to_the_search(tmp_path, monkeypatch):
    np.savez(tmp_path / "large.npz", x=np.zeros((40, 8, 8, 1), np.uint8), y=np.arange(40) % 2)
    space = load_space("long_tail.yaml", [f"data.source=npz:{tmp_path}/large.npz", "data.imbalance=null"])
    monkeypatch.setattr(probe, "QUICK_ARRAYS", 100)
    assert quick_duration(space, 1) == "known when the data are loaded: the first lines of the search say it"
    missing = load_space("long_tail.yaml", ["data.source=npz:nope.npz", "data.imbalance=null"])
    assert "nope.npz" in quick_duration(missing, 1)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.png").write_bytes(b"x" * 50)
    assert probe._quick(f"image_folder:{tmp_path}/photos")
    monkeypatch.setattr(probe, "QUICK_BYTES", 120)
    assert not probe._quick(f"image_folder:{tmp_path}/photos") and not probe._quick("my.module:data")


# --- the time left

@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = SimpleNamespace(at=1000.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.at)
    return now


def work(confirmations=0):
    """Ten trials of ten epochs each."""
    return Workload((Rung(10, 10, 10),), 10, math.inf, 10, confirmations)


def test_the_time_left_follows_what_trials_take(clock):
    """200 s were expected, 2 s an epoch; epochs really take 4 s, and what was expected counts as ten of them."""
    seen = Progress(work(), Duration(0, 200, 0, 0.1, 1))
    assert seen.left() == 200
    clock.at += 40
    seen.reached(10)
    seen.ended()
    assert seen.left() == pytest.approx(90 * (10 * 2 + 40) / 20)
    for _ in range(8):
        clock.at += 40
        seen.reached(10)
        seen.ended()
    assert seen.left() == pytest.approx(10 * (10 * 2 + 360) / 100)
    clock.at += 40
    seen.reached(10)
    seen.ended()
    assert seen.left() == 0


def test_confirmation_is_part_of_the_time_left(clock):
    seen = Progress(work(4), Duration(0, 200, 80, 0.1, 1))
    assert seen.left() == 200 + 4 * 10 * 2
    clock.at += 200
    for _ in range(10):
        seen.reached(10)
        seen.ended()
    assert seen.left() == 80
    seen.confirmed(0, 4)
    assert seen.left() == 80 and seen.fresh == (0, 4)
    clock.at += 30
    seen.confirmed(1, 4)
    assert seen.left() == 90


def test_a_deadline_bounds_the_time_left_and_earlier_sittings_do_not_count(clock):
    seen = Progress(work(), Duration(0, 200, 0, 0.1, 1), deadline=1050.0)
    assert seen.left() == 50
    again = Progress(replace(work(), spent=50.0, ended=5), Duration(0, 100, 0, 0.1, 1))
    assert again.left() == 100
    clock.at += 30
    again.reached(10)
    again.ended()
    assert again.left() == pytest.approx(40 * (10 * 2 + 30) / 20)


def test_without_a_probe_the_time_left_is_known_when_something_was_reached(clock):
    seen = Progress(work())
    clock.at += 10
    assert seen.left() == 0
    seen.reached(5)
    assert seen.left() == pytest.approx(seen.work.epochs * 2)


def test_what_runs_no_more_is_no_other_work(monkeypatch, tmp_path):
    """The load is the mean of the last minute; of what the system says runs now, this process is one."""
    monkeypatch.setattr(probe, "LOADS", tmp_path / "loadavg")
    monkeypatch.setattr(probe.os, "getloadavg", lambda: (6.5, 3.0, 2.0))
    for running, others in (("1/90", 0.0), ("4/90", 3.0), ("20/90", 6.0)):
        probe.LOADS.write_text(f"6.50 3.00 2.00 {running} 123\n")
        assert probe._others() == others
    probe.LOADS.write_text("no such words\n")
    assert probe._others() == 6.0, "where the system does not say it, the load counts"


@pytest.mark.skipif(not probe.LOADS.exists(), reason="this system does not say what runs now")
def test_two_that_are_busy_are_seen():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        time.sleep(0.2)
        assert probe._running() >= 1.5
    finally:
        for process in busy:
            process.kill()
            process.wait()
