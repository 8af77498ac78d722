"""The driver killed at every moment at which it touches its folder, on a full disk, and resumed."""
import os
import random
import subprocess
from pathlib import Path

import pytest

from . import kept
from .driver import CLEAR, Drivers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

@pytest.fixture(scope="module")
def drivers():
    made = Drivers()
    yield made
    made.close()

@pytest.fixture(scope="module")
def whole(drivers, tmp_path_factory):
    """The unbroken search, and at how many moments it touched its folder."""
    root = tmp_path_factory.mktemp("whole")
    done = drivers.run(root)
    assert done["code"] == 0, done
    return next(root.iterdir()), done["moments"]

def test_killed_at_every_write(drivers, whole, tmp_path, injected):
    unbroken, moments = whole
    assert moments > 100
    for moment in range(1, moments + 1):
        root = tmp_path / str(moment)
        assert drivers.run(root, kill=moment)["code"] == -9
        injected("driver killed at a write (F2, F3)")
        folder = next((path.parent for path in root.glob("*/space.yaml")), None)
        if folder is None:      # before there was anything to lose: the command is given again
            assert not any(path.read_bytes() for path in root.glob("*/trials.jsonl"))
            continue
        before = kept.lines(folder)
        done = drivers.run(root, resume=folder)
        assert done["code"] == 0, (moment, done)
        kept.ledger_goes_on(before, folder)
        kept.as_unbroken(folder, unbroken)

def test_killed_twenty_times_in_one_search(drivers, tmp_path, injected):
    """At random moments; twenty sittings and one more come to what one alone comes to."""
    longer = {"overrides": ["search.trials=20"]}
    assert drivers.run(tmp_path / "whole", **longer)["code"] == 0
    root, folder, kills, chance = tmp_path / "runs", None, 0, random.Random(0)
    while True:
        before = kept.lines(folder) if folder else []
        wanted = kills < 20
        done = drivers.run(root, resume=folder, kill=chance.randint(12, 24) if wanted else 0,
                           **({} if folder else longer))
        folder = next((path.parent for path in root.glob("*/space.yaml")), None)
        if folder:      # else there was nothing to lose yet: the command is given again
            kept.ledger_goes_on(before, folder)
        if done["code"] == 0:
            break
        assert wanted and done["code"] == -9
        kills += 1
        injected("driver killed at random (F2)")
    assert kills == 20
    kept.as_unbroken(folder, next((tmp_path / "whole").iterdir()))


@pytest.fixture
def disk(tmp_path):
    """A file system of three megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], check=False,
                      capture_output=True).returncode:
        pytest.skip("only root may mount a file system; RLIMIT_FSIZE is tested with the ledger")
    yield place
    subprocess.run(["umount", str(place)], check=True)

def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes free."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(b"\0" * max(0, found.f_bavail * found.f_bsize - left))
    return ballast

@pytest.mark.parametrize("left", [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 40, 80, 82, 84, 86, 90, 120, 160, 200])
def test_full_disk(drivers, whole, disk, injected, left):
    """Pages of 4 KiB that are free at the start; where they do not do, one line says so, and the rest is kept."""
    ballast = fill(disk, left * 4096)
    done = drivers.run(disk / "runs")
    injected("disk full (F5)")
    ballast.unlink()
    folder = next((path.parent for path in (disk / "runs").glob("*/space.yaml")), None)
    if done["code"]:
        assert done["code"] == CLEAR, done["said"]
        assert len(done["said"].splitlines()) == 1 and "no space left" in done["said"].lower()
    if folder is None:
        return
    before = kept.lines(folder)
    again = drivers.run(disk / "runs", resume=folder)
    assert again["code"] == 0, again
    kept.ledger_goes_on(before, folder)
    kept.as_unbroken(folder, whole[0])
