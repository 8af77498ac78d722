"""Searches in forked children of one process that has imported everything: dying at a chosen write costs a second.

Started as a program; each line on its input is a job in JSON, each line of its output says how that ended.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SMALL = ("search.engine=local", "search.trials=4", "search.sampler=random", "search.parallel=1", "training.epochs=2",
         "search.rungs.first=1", "search.rungs.reduction=2", "confirm.top=1", "confirm.seeds=2",
         "search.trainings=null")
CLEAR = 3       # exit code of a search that ended with a clear error


class Drivers:
    """The process that forks, as a test sees it."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, "-m", "tests.faults.driver"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, start_new_session=True,
                                         env={**os.environ, "OMP_NUM_THREADS": "1"})

    def run(self, root: Path, resume: Path | None = None, kill: int = 0, **more) -> dict:
        """Search in `root`, or go on; with `kill` the process dies by SIGKILL at that moment. Return how it ended."""
        job = {"root": str(root), "resume": str(resume) if resume else None, "kill": kill, **more}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)


class Moments:
    """Counts the moments at which a search touches its folder, and dies at one of them."""

    def __init__(self, root: str, kill: int):
        self.root, self.kill, self.count = root, kill, 0
        sync = os.fsync

        def fsync(descriptor: int) -> None:
            self.tick()
            sync(descriptor)
            self.tick()
        os.fsync = fsync
        sys.addaudithook(self.hear)

    def hear(self, event: str, details: tuple) -> None:
        written = event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)
        if (written or event in ("os.rename", "os.remove", "os.mkdir", "os.truncate")) and (
                str(details[0]).startswith(self.root)):
            self.tick()

    def tick(self) -> None:
        self.count += 1
        if self.count == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    from autotricks.space.load import load_space
    from autotricks.workflows import search as experiment

    from ..search.scripted import in_threads

    def search(job: dict) -> None:
        overrides, resume = job.get("overrides", []), Path(job["resume"]) if job["resume"] else None
        loaded = experiment.resume(resume, overrides) if resume else load_space("long_tail.yaml", [*SMALL, *overrides])
        experiment.search(loaded, experiment.Options(Path(job["root"]), resume, tracking=job.get("tracking", "off"),
                                                     confirm=job.get("confirm", True), engine=in_threads()))

    with tempfile.TemporaryDirectory() as folder:       # whatever is imported late is imported once, here
        search({"root": folder, "resume": None})
    for line in sys.stdin:
        job = json.loads(line)
        here, there = os.pipe()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            moments, said, code = Moments(job["root"], job["kill"]), "", 0
            try:
                search(job)
            except BaseException as error:
                from autotricks.errors import AutotricksError

                code = CLEAR if isinstance(error, AutotricksError) else 1
                said = str(error) if code == CLEAR else traceback.format_exc()
            os.write(there, json.dumps({"moments": moments.count, "said": said}).encode())
            os._exit(code)
        os.close(there)
        with os.fdopen(here, "rb") as pipe:
            told = pipe.read()
        status = os.waitpid(child, 0)[1]
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), **(json.loads(told) if told else {})}), flush=True)


if __name__ == "__main__":
    main()
