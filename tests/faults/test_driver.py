"""The driver killed and interrupted through the command line, in every phase, on both engines."""
import os
import random
import signal
import time

import pytest

from autotricks.runs import folder as folders

from ..search import real
from ..search.test_resume import arguments
from . import kept

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
LONG = ("search.trials=24",)


def start(root, *overrides, resume=None, confirm=False):
    words = ["search", "--resume", str(resume), "--root", str(root), "--tracking", "off"] if resume else [
        word for word in arguments(root, *overrides) if word != "--no-confirm"]
    return real.start(*words, *([] if confirm else ["--no-confirm"]))


def count(root, name=folders.LEDGER) -> int:
    path = next(root.glob(f"*/{name}"), None)
    return path.read_bytes().count(b"\n") if path else 0


def until(driver, condition, seconds=120) -> bool:
    """Wait for a condition; return whether it came before the driver ended."""
    end = time.monotonic() + seconds
    while not condition():
        if driver.poll() is not None:
            return False
        assert time.monotonic() < end
        time.sleep(0.005)
    return True


def kill(driver, signal_=signal.SIGKILL) -> None:
    driver.send_signal(signal_)
    driver.communicate()
    assert real.gone(lambda: {number: words for number, words in real.of_session(driver.pid).items()
                              if "ray::" not in words or "Trainable" in words}, 30)


def kills(root, parallel, times, chance, injected):
    """Kill the drivers of one search again and again, each after one to five more lines; let the last one finish."""
    folder, done = None, 0
    while True:
        before = kept.lines(folder) if folder else []
        driver = start(root, *LONG, f"search.parallel={parallel}", resume=folder)
        line, wait = len(before) + chance.randint(1, 5), chance.uniform(0, 0.05)
        if done < times and until(driver, lambda line=line: count(root) >= line):
            time.sleep(wait)
            kill(driver)
            done += 1
            injected(f"driver killed at random, {parallel} at a time (F2)")
        else:
            assert driver.communicate(timeout=200)[1] == "" and driver.returncode == 0
        folder = next(root.iterdir())
        kept.ledger_goes_on(before, folder)
        if driver.returncode == 0:
            return folder, done


def test_twenty_kills_in_one_search(tmp_path, injected):
    whole = real.search(tmp_path / "whole", *LONG, "search.parallel=1")
    folder, done = kills(tmp_path / "runs", 1, 20, random.Random(1), injected)
    assert done == 20
    kept.as_unbroken(folder, whole.folder)


def test_with_two_at_a_time_the_same_trials_are_there(tmp_path, injected):
    """Who is stopped at a rung depends on who was there first; which bundles are tried by `random` does not."""
    whole = real.search(tmp_path / "whole", *LONG, "search.parallel=1")
    folder, done = kills(tmp_path / "runs", 2, 6, random.Random(2), injected)
    assert done == 6
    mine, theirs = real.trials(folder), real.trials(whole.folder)
    assert [(trial.number, trial.hash) for trial in mine] == [(trial.number, trial.hash) for trial in theirs]
    assert all(trial.end in ("finished", "stopped", "diverged") for trial in mine)


@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_killed_while_confirming(tmp_path, lines, injected):
    """What was trained is not trained again, and the pool's processes end with the driver."""
    overrides = ("search.trials=3", "confirm.top=1", "confirm.seeds=2")
    driver = start(tmp_path, *overrides, confirm=True)
    assert until(driver, lambda: count(tmp_path, "confirm.jsonl") >= lines and list(tmp_path.glob("*/confirm")))
    kill(driver)
    injected("driver killed while confirming (F3)")
    folder = next(tmp_path.iterdir())
    before, trained = kept.lines(folder), kept.lines(folder, "confirm.jsonl")
    again = start(tmp_path, resume=folder, confirm=True)
    assert again.communicate(timeout=200)[1] == "" and again.returncode == 0
    kept.ledger_goes_on(before, folder)
    assert kept.lines(folder, "confirm.jsonl")[:len(trained)] == trained
    assert len(kept.lines(folder, "confirm.jsonl")) == 4 and (folder / "confirm.json").exists()


PHASES = {"starting": lambda root: True, "searching": lambda root: count(root) > 6,
          "confirming": lambda root: bool(list(root.glob("*/confirm"))) and count(root, "confirm.jsonl") > 0}


ONCE = [("local", phase, name) for phase in PHASES for name in ("SIGINT", "SIGTERM", "SIGHUP")] + [
    pytest.param("ray", phase, name, marks=pytest.mark.ray) for phase, name in (
        ("searching", "SIGTERM"), ("searching", "SIGHUP"), ("confirming", "SIGINT"), ("confirming", "SIGTERM"))]


@pytest.mark.parametrize(("engine", "phase", "name"), ONCE)
def test_interrupted_once(tmp_path, engine, phase, name, injected):
    """In order within ten seconds, with the line that goes on, exit code 130 and no process left."""
    interrupted(tmp_path, engine, phase, [name], 10)
    injected(f"{name} once (F15)")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("pause", [0.05, 0.4, 1.0])
def test_interrupted_twice(tmp_path, phase, pause, injected):
    interrupted(tmp_path, "local", phase, ["SIGINT", "SIGINT"], 2, pause)
    injected("SIGINT twice (F15)")


@pytest.mark.ray
def test_interrupted_twice_on_ray(tmp_path, injected):
    interrupted(tmp_path, "ray", "searching", ["SIGINT", "SIGINT"], 2)
    injected("SIGINT twice (F15)")


def interrupted(root, engine, phase, names, seconds, pause=0.4):
    overrides = ("search.trials=3", "confirm.seeds=100") if phase == "confirming" else ("search.trials=200",)
    driver = start(root, f"search.engine={engine}", *overrides, confirm=True)
    try:
        assert until(driver, lambda: real.hears(driver.pid))
        if phase == "starting":
            time.sleep(random.Random(f"{engine} {names} {pause}").uniform(0, 1.5))
        assert until(driver, lambda: PHASES[phase](root))
        for number, name in enumerate(names):
            time.sleep(pause * bool(number))
            os.killpg(driver.pid, getattr(signal, name))     # as a terminal does: to the driver and its workers
        sent = time.monotonic()
        _, errors = driver.communicate(timeout=60)
        assert time.monotonic() - sent < seconds
    finally:
        driver.kill()
    assert driver.returncode == 130, errors
    assert "Traceback" not in errors
    folder = next(root.iterdir(), None)
    if folder and (folder / folders.LEDGER).exists():
        assert errors.splitlines()[-1].endswith(("--resume latest", f"autotricks search --resume {folder}"))
        kept.ledger_goes_on([], folder)
    assert real.gone(lambda: real.of_session(driver.pid), 20 if len(names) == 1 else 2)


def test_nobody_reads_the_output_any_more(tmp_path, injected):
    """As in `autotricks search ... | head -1`."""
    driver = start(tmp_path, "search.engine=local")
    driver.stdout.readline()
    driver.stdout.close()
    injected("output closed")
    driver.wait(120)
    folder, error = next(tmp_path.iterdir()), driver.stderr.read()
    assert driver.returncode == 1
    assert error == ("Its output cannot be written: broken pipe. Finished trials are kept. Go on with: "
                     f"autotricks search --resume {folder}\n")
    kept.ledger_goes_on([], folder)
    assert real.gone(lambda: real.of_session(driver.pid), 2)


def test_second_search_is_told_who_holds_the_folder(tmp_path, injected):
    driver = start(tmp_path, "search.trials=200")
    try:
        assert until(driver, lambda: count(tmp_path) > 3)
        folder = next(tmp_path.iterdir())
        second = real.run("search", "--resume", str(folder), "--tracking", "off", "--no-confirm")
        injected("second search on a folder (F14)")
        assert second.returncode == 2 and len(second.stderr.splitlines()) == 1
        assert f"in use by process {driver.pid} on {os.uname().nodename} since" in second.stderr
    finally:
        kill(driver)
    driver = start(tmp_path, resume=folder)     # who was killed holds nothing
    size = count(tmp_path)
    try:
        assert until(driver, lambda: count(tmp_path) > size)
        injected("lock whose holder is dead (F14)")
    finally:
        kill(driver)
