"""Training that falls ill: no numbers, no memory, no such machine, images that are none."""
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import numpy as np
import pytest
from PIL import Image

from autotricks.export import BUNDLE
from autotricks.runs import folder as folders
from autotricks.space.load import load_bundle_file, load_space

from ..search import deadly, real
from . import kept, sick

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
# Every rung builds a model: the baseline the first to third, the other start trial the next three, then drawn ones.
COUNTED = ("model.name=tests.faults.sick:net", *deadly.PINNED)
LAST_RUNG, DRAWN = 6, 7


@pytest.fixture
def ill(tmp_path, monkeypatch):
    """Search with models that are ill as said; return the folder and its trials."""
    monkeypatch.setenv(sick.PLAN, str(tmp_path))
    forkserver._forkserver._stop()      # the next one has the environment
    deadly.begin(tmp_path)

    def search(how, *builds, overrides=()):
        (tmp_path / "wrong").write_text(f"{how}:{','.join(map(str, builds))}")
        loaded = load_space("long_tail.yaml", [*real.SMALL, *COUNTED, *overrides], trust=True)
        folder = real.search(tmp_path / "runs", loaded=loaded, trust=True).folder
        kept.ledger_goes_on([], folder)
        assert real.gone(lambda: real.below(os.getpid()), 5)
        return folder, real.trials(folder)
    return search


@pytest.mark.parametrize("how", ["nan loss", "inf loss", "explosion", "nan weight", "nan figure"])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_no_number_ends_the_trial_within_an_epoch(ill, how, sampler, injected):
    folder, trials = ill(how, LAST_RUNG, DRAWN, overrides=[f"search.sampler={sampler}"])
    injected(f"{how} (F8)", 2)
    assert [trial.end for trial in trials[:3]] == ["finished", "diverged", "diverged"]
    assert {trial.end for trial in trials[3:]} <= {"finished", "stopped"} and len(trials) == 6
    assert [line["epochs"] for line in trials[1].rungs] == [1.0, 2.0, 1.0]      # of four at the last rung
    assert [line["epochs"] for line in trials[2].rungs] == [1.0]
    assert trials[1].score(real.METRIC) is trials[2].score(real.METRIC) is None
    best = load_bundle_file(folder / BUNDLE, trust=True).bundle
    assert best.hash in {trial.hash for trial in trials if trial.end == "finished"}
    for line in kept.lines(folder):     # strict JSON: what is not a number is null
        json.dumps(line, allow_nan=False)


def test_batch_that_does_not_fit_is_cut_and_keeps_its_meaning(ill, injected):
    folder, trials = ill("memory of a batch", 4, 5, LAST_RUNG)
    injected("out of memory in the first step (F9)", 3)
    assert [trial.end for trial in trials[:2]] == ["finished", "finished"]
    cut = next(pieces for pieces in (2, 4, 8, 16) if math.ceil(64 / pieces) <= sick.ROOM)
    assert [line["micro_batches"] for line in trials[0].rungs] == [1, 1, 1]
    assert [line["micro_batches"] for line in trials[1].rungs] == [cut, cut, cut]
    assert trials[1].bundle["training"]["batch_size"] == 64
    whole = real.search(folder.parent / "roomy", "search.rungs.fidelity=compressed").folder
    rates = [[line["metrics"]["train/lr"] for line in real.trials(one)[1].rungs] for one in (folder, whole)]
    assert rates[0] == rates[1]
    assert ",micro_batches," in (folder / folders.TABLE).read_text().splitlines()[0]


@pytest.mark.parametrize("how", ["memory in a later step", "memory in validation"])
def test_no_memory_for_one_image_fails_the_trial_alone(ill, how, injected):
    _, trials = ill(how, LAST_RUNG, DRAWN)
    injected(f"out of {how} (F9)", 2)
    assert [trial.end for trial in trials[:3]] == ["finished", "out_of_memory", "out_of_memory"]
    assert {trial.end for trial in trials[3:]} <= {"finished", "stopped"} and len(trials) == 6
    assert trials[1].score(real.METRIC) is trials[2].score(real.METRIC) is None


@pytest.fixture(scope="module")
def start_up():
    """CPU seconds that importing torch takes; a quiet laptop does it in two."""
    before = computed()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return computed() - before


def computed() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("wanted", [("resources.gpus=1",), ("resources.gpus=2", "search.engine=ray"),
                                    ("resources.cpus=4096",), ("resources.cpus=4096", "search.engine=ray")])
def test_machine_that_is_not_there(tmp_path, wanted, start_up, injected):
    """Within five seconds where nobody else is at work, most of which is torch's; nothing waits."""
    before = computed()
    done = real.run("search", "--space", "long_tail.yaml", *(word for text in wanted for word in ("--set", text)),
                    "--root", str(tmp_path / "runs"))
    injected("resources that are not there (F20)")
    assert computed() - before < 2.5 * start_up and done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "resources." in done.stderr
    assert not (tmp_path / "runs").exists() and real.gone(lambda: real.below(os.getpid()), 5)


def photos(folder, chance):
    """Draw images of two classes, and some that are none."""
    for name, hue in (("dark", 60), ("light", 160)):
        (folder / name).mkdir(parents=True)
        for number in range(150):
            pixels = np.uint8([[[hue + chance.randrange(60) for _ in range(3)] for _ in range(8)] for _ in range(8)])
            Image.fromarray(pixels).save(folder / name / f"{number:03d}.png")
    whole = (folder / "dark" / "000.png").read_bytes()
    bad = {"empty.png": b"", "text.jpg": b"no image", "half.png": whole[:len(whole) // 2], "head.png": whole[:16]}
    for name, content in bad.items():
        (folder / "dark" / name).write_bytes(content)
    return sorted(bad)


def test_bad_images_are_the_same_to_every_sitting(tmp_path, injected):
    """They are left out alike before and after a kill; one that is mended meanwhile makes other data of them."""
    bad = photos(tmp_path / "photos", random.Random(0))
    injected("image that is none (F11)", len(bad))
    words = (f"--data=image_folder:{tmp_path / 'photos'}", "--set", "data.max_bad=0.05", "--set", "data.imbalance=null",
             "--tracking", "off", "--no-confirm", *(word for text in real.SMALL for word in ("--set", text)))
    whole = real.run("search", "--space", "long_tail.yaml", "--root", str(tmp_path / "whole"), *words)
    assert whole.returncode == 0, whole.stderr
    unbroken = next((tmp_path / "whole").iterdir())
    driver = real.start("search", "--space", "long_tail.yaml", "--root", str(tmp_path / "runs"), *words)
    while not (path := next((tmp_path / "runs").glob("*/trials.jsonl"), None)) or path.read_bytes().count(b"\n") < 9:
        assert driver.poll() is None
        time.sleep(0.01)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    injected("driver killed beside images that are none (F2, F11)")
    shutil.copy(tmp_path / "photos" / "dark" / "001.png", tmp_path / "photos" / "dark" / bad[0])
    again = ("search", "--resume", str(path.parent), "--tracking", "off", "--no-confirm")
    refused = real.run(*again)
    assert refused.returncode == 2 and "its data had the fingerprint" in refused.stderr
    (tmp_path / "photos" / "dark" / bad[0]).write_bytes(b"")
    assert real.run(*again).returncode == 0
    kept.as_unbroken(path.parent, unbroken)
    listed = [sorted(one["path"].rpartition("/")[2] for one in json.loads((folder / folders.DATA).read_text())["bad"])
              for folder in (path.parent, unbroken)]
    assert listed == [bad, bad]
