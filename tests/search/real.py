"""Real searches on the digits that ship, kept small; and the processes that they start."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autotricks.runs.folder import LEDGER
from autotricks.runs.ledger import TrialRecord, read, records
from autotricks.space.load import LoadedSpace, load_space
from autotricks.workflows import search as experiment

METRIC = "val/balanced_accuracy"
SMALL = ("search.engine=local", "search.trials=6", "search.sampler=random", "search.parallel=1", "training.epochs=4",
         "search.rungs.first=1", "search.rungs.reduction=2", "search.trainings=null")
BUDGETS = (1, 2, 4)
ENGINES = ["local", pytest.param("ray", marks=pytest.mark.ray)]     # both, where a test really searches with each


def small(*overrides: str) -> LoadedSpace:
    """Return the long-tailed digits with six trials of at most four epochs, one at a time."""
    return load_space("long_tail.yaml", [*SMALL, *overrides])


def search(root: Path, *overrides: str, loaded: LoadedSpace | None = None, **options) -> experiment.SearchResult:
    given = experiment.Options(root=root, tracking=options.pop("tracking", "off"), confirm=False, **options)
    return experiment.search(loaded or small(*overrides), given)


def trials(folder: Path) -> list[TrialRecord]:
    return records(read(folder / LEDGER)[0])


def story(folder: Path) -> list[tuple]:
    """Return number, hash, end and scores of every trial."""
    return [(trial.number, trial.hash, trial.end, tuple((line["rung"], line["metrics"][METRIC])
                                                        for line in trial.rungs)) for trial in trials(folder)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "autotricks", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(*arguments: str, cwd: Path | None = None) -> subprocess.Popen:
    """Run the command line in a session of its own."""
    return subprocess.Popen(command(*arguments), env=environment(), start_new_session=True, text=True, cwd=cwd,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_listen)


def _listen() -> None:
    """Ignore no signal, as a shell has what it starts in the background do with Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def hears(process: int) -> bool:
    """Return whether a process has a handler for SIGTERM: while Python itself starts, there is none."""
    mask = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), env=environment(), start_new_session=True, capture_output=True,
                          text=True, timeout=timeout, check=False)


def processes() -> dict[int, tuple[int, int, str]]:
    """Return parent, session and command of every process that is not a zombie."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                found[int(folder.name)] = int(parent), int(session), words
    return found


HELPERS = ("resource_tracker", "multiprocessing.forkserver")     # end with the process that started them


def below(root: int) -> dict[int, str]:
    """Return the commands of the processes below one, without the helpers that Python starts beside its children."""
    known, result = processes(), {}
    inside = {root}
    while new := {number for number, (parent, _, _) in known.items() if parent in inside} - inside:
        inside |= new
        result.update({number: known[number][2] for number in new})
    return {number: words for number, words in result.items() if not any(helper in words for helper in HELPERS)}


def of_session(session: int) -> dict[int, str]:
    return {number: words for number, (_, its, words) in processes().items() if its == session}


def gone(find, seconds: float = 10) -> bool:
    """Wait until `find` finds no process."""
    end = time.monotonic() + seconds
    while left := find():
        if time.monotonic() > end:
            print(left)
            return False
        time.sleep(0.05)
    return True
