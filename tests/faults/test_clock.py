"""A wall clock that jumps decides nothing: names and what people read come from it, durations and order do not."""
import ast
import os
import shutil
import signal
import subprocess

import pytest

from ..architecture.source import modules, tree, where
from ..search import real
from ..search.test_resume import arguments
from . import kept

# What may read the wall clock, and what for.
SHOWN = {
    "runs/folder.py": "the date in a run's name, and since when a folder is held",
    "workflows/ablate.py": "the name of a sitting",
    "tracking/mlflow.py": "what MLflow shows as the time of a figure",
    "tracking/model_registry.py": "when a person promoted a model",
    "tuning/engines/ray_jobs.py": "for how long a job on a cluster has run",
    "cli/commands/cluster.py": "when a job on a cluster began",
}
WALL = {"time", "strftime", "localtime", "gmtime", "ctime", "now", "today", "utcnow"}


def readings():
    """Yield each place that reads the wall clock."""
    for path in modules().values():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WALL and (
                    isinstance(node.func.value, ast.Name) and node.func.value.id in ("time", "datetime", "date")):
                yield path, where(path, node)


def test_only_what_is_shown_reads_the_wall_clock():
    found = list(readings())
    wrong = [place for path, place in found if not any(str(path).endswith(f"autotricks/{name}") for name in SHOWN)]
    assert wrong == []
    assert len(found) >= 4


JUMPS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
static long shift(void) { static unsigned calls; long day = 86400; return ((long)((calls++ / 3) % 5) - 2) * day; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += shift();
    return code;
}
time_t time(time_t *out) {
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t); if (out) *out = t.tv_sec; return t.tv_sec;
}
int gettimeofday(struct timeval *v, void *zone) {
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t); v->tv_sec = t.tv_sec; v->tv_usec = t.tv_nsec / 1000; return 0;
}
"""


@pytest.fixture
def jumping(tmp_path, monkeypatch):
    """Programs started from here on read a wall clock that jumps by up to two days, to and fro, all the time."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    (tmp_path / "jumps.c").write_text(JUMPS)
    library = tmp_path / "jumps.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "jumps.c", "-ldl"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("budget", [(), ("--time", "20m")])
def test_search_under_a_clock_that_jumps(finished, jumping, tmp_path, budget, injected):
    done = real.run(*arguments(tmp_path), *budget)
    injected("wall clock that jumps (F16)")
    assert done.returncode == 0, done.stderr
    folder = next(tmp_path.glob("long_tail-*"))
    kept.as_unbroken(folder, finished.folder)
    assert all(0 <= line["seconds"] < 60 for line in kept.lines(folder) if line["kind"] == "rung")


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_resume_under_a_clock_that_jumps(finished, jumping, tmp_path, injected):
    driver = real.start(*arguments(tmp_path))
    while not (path := next(tmp_path.glob("*/trials.jsonl"), None)) or path.read_bytes().count(b"\n") < 8:
        assert driver.poll() is None
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    injected("wall clock that jumps (F16)")
    done = real.run("search", "--resume", str(path.parent), "--tracking", "off", "--no-confirm")
    assert done.returncode == 0, done.stderr
    kept.as_unbroken(path.parent, finished.folder)
