"""What every benchmark here rests on: arms in turn, the spread of their ratios, and a machine that is quiet enough.

A part is a module with `measure(quick) -> list[Row]`. `conclude` measures parts, prints one table, writes one JSON and
says what the figures allow to be said: nothing at all where other processes kept the machine busy meanwhile.
Exit codes: 0 every target is reached; 1 one is missed; 3 no conclusion. With --quick or --anyway it is 0.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

QUIET = 0.3         # cores that others may use
FIRST_LOOK = 2.0    # seconds of watching before anything is measured
SUBREAPER = 36      # Linux's prctl: whose parent ends becomes a child of this process
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIBRARIES = ("autotricks", "torch", "torchvision", "timm", "pytorch-lightning", "ray", "optuna", "numpy", "pillow")

Seconds = tuple[float, float]   # CPU and wall
Arm = Callable[[], object]      # does a slice of its work, as long as that of every other arm


@dataclass(frozen=True)
class SeedStatistics:
    """Median, quartiles, and the order statistics between which the true median lies 95 times in 100.

    Below six repeats the interval is the whole range, which holds it less often.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class Target:
    """What a figure is to reach: `least`, or `most`, or both."""

    least: float = -math.inf
    most: float = math.inf

    def reached(self, figure: float) -> bool:
        """Return whether a figure, NaN aside, is inside."""
        return self.least <= figure <= self.most

    def __str__(self) -> str:
        sides = ((">=", self.least), ("<=", self.most))
        return ", ".join(f"{sign} {value:g}" for sign, value in sides if math.isfinite(value))


@dataclass(frozen=True)
class Row:
    """One figure of one part.

    Args:
        setting: What was worked on, such as a model.
        what: What the figure is of, such as `trainer / DataLoader + v2`.
        figure: Over its repeats; None where it could not be measured, and `note` says why.
        unit: `x` for a ratio, else `s`, `ms`, `images/s`, ...
        target: What the issue asks for, if anything.
        note: A few words.
        details: Whatever else a reader of the JSON may want.
    """

    setting: str
    what: str
    figure: SeedStatistics | None
    unit: str = "x"
    target: Target | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, or nothing where nothing was asked for or measured."""
        if self.target is None or self.figure is None:
            return ""
        return "reached" if self.target.reached(self.figure.median) else "missed"


Measure = Callable[[bool], list[Row]]


def one_thread() -> None:
    """Let torch, and the processes started from here, compute on one thread each."""
    import torch

    os.environ.update(dict.fromkeys(THREADS, "1"))
    torch.set_num_threads(1)


def spread(figures: Iterable[float]) -> SeedStatistics:
    """Return the spread of one figure or more."""
    ordered = sorted(figures)
    count = len(ordered)
    edge = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))
    lower, median, upper = statistics.quantiles(ordered, n=4, method="inclusive") if count > 1 else ordered * 3
    return SeedStatistics(median, lower, upper, ordered[edge], ordered[count - 1 - edge], count)


def timed(arm: Arm) -> Seconds:
    cpu, wall = time.process_time(), time.perf_counter()
    arm()
    return time.process_time() - cpu, time.perf_counter() - wall


def take_turns(arms: Mapping[str, Arm], rounds: int) -> dict[str, list[Seconds]]:
    """Return the seconds of each arm in each round; the order turns, so that none is always first."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in arms}
    names = list(arms)
    for name in names:
        arms[name]()  # libraries choose and cache their kernels
    for place in range(rounds):
        turn = place % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(timed(arms[name]))
    return seconds


def compared(seconds: Mapping[str, list[Seconds]], arm: str, against: str, clock: int = 0) -> SeedStatistics:
    """Return how many times as fast an arm is as another, by the pairs of each round; clock 0 is CPU, 1 is wall."""
    return spread(theirs[clock] / ours[clock] for ours, theirs in zip(seconds[arm], seconds[against], strict=True))


def ratio_row(setting: str, seconds: Mapping[str, list[Seconds]], pair: tuple[str, str], target: Target | None,
              work: float, clock: int = 0) -> Row:
    """Return the row of two arms that took turns, each doing `work` a turn, such as images; by CPU time or by wall."""
    arm, against = pair
    speeds = {name: work / statistics.median(one[clock] for one in seconds[name]) for name in pair}
    other = {("wall", "cpu")[clock]: asdict(compared(seconds, arm, against, 1 - clock))}
    return Row(setting, f"{arm} / {against}", compared(seconds, arm, against, clock), "x", target,
               f"{speeds[arm]:,.0f} and {speeds[against]:,.0f} a {('CPU-s', 's')[clock]}",
               {**other, "per_second": speeds, "seconds": {name: seconds[name] for name in pair}})


def busy_seconds() -> float:
    """Return the seconds that all cores together have worked since the machine started; NaN where unknown."""
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        pass
    else:
        times = psutil.cpu_times()._asdict()
        return sum(float(times.get(name, 0)) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]]
    except OSError:
        return float("nan")
    user, nice, system, _, _, irq, softirq, steal = ticks[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Watch, from entering to leaving, how many cores other processes use; ours and those we waited for are ours.

    Attributes:
        seconds: How long it watched.
        others: Cores that others used, at the mean; NaN where the machine does not say.
    """

    def __enter__(self) -> Watch:
        self._start, self._busy, self._own = time.perf_counter(), busy_seconds(), self._used()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self.others = max((busy_seconds() - self._busy - self._used() + self._own) / self.seconds, 0.0)  # NaN stays

    @property
    def quiet(self) -> bool:
        """Whether what was measured meanwhile can be relied on."""
        return self.others <= QUIET

    @staticmethod
    def _used() -> float:
        """Return the CPU seconds of this process and of all that it brought about, the orphans among them included."""
        used = os.times()
        return used.user + used.system + used.children_user + used.children_system + below(os.getpid())


def below(parent: int) -> float:
    """Return the CPU seconds of the processes below one, of the dead too that nobody has waited for; 0 beside Linux.

    From now on orphans are this process's: a search that has ended leaves the server of its workers behind.
    """
    if sys.platform != "linux":
        return 0.0
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    used, parents = dict[int, float](), dict[int, int]()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):     # it ended meanwhile
            words = file.read_text("utf-8", "replace").rpartition(")")[2].split()   # from the state on, see proc(5)
            parents[int(file.parent.name)] = int(words[1])
            used[int(file.parent.name)] = sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    found = {parent}
    while more := {child for child, above in parents.items() if above in found} - found:
        found |= more
    return sum(used[child] for child in found - {parent})


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code: processor, cores, load, threads, device and versions."""
    import torch

    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), processor)
    return {"processor": processor or platform.machine(), "cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "threads": torch.get_num_threads(), "python": platform.python_version(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "versions": {name: found for name in LIBRARIES if (found := _version(name))}}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every part can be told."""
    made = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    made.add_argument("--quick", action="store_true", help="a few seconds to see that it works; concludes nothing")
    made.add_argument("--anyway", action="store_true", help="show figures on a busy machine too; ends with 0")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the result to this file")
    return made


def conclude(parts: Mapping[str, Measure], given: argparse.Namespace) -> int:
    """Measure parts one after another, show the table, write the JSON; return the exit code."""
    anyway = given.anyway or given.quick
    one_thread()
    with Watch() as watch:
        time.sleep(0 if given.quick else FIRST_LOOK)
    if not watch.quiet and not anyway:
        print(_refusal("", watch.others))
        return 3
    here, results = machine(), dict[str, dict[str, Any]]()
    print(_heading(here))
    for name, measure in parts.items():
        with Watch() as watch:
            rows = measure(given.quick)
        results[name] = {"seconds": watch.seconds, "others_cores": None if math.isnan(watch.others) else watch.others,
                         "quiet": watch.quiet, "rows": [document(row) for row in rows]}
        _show(name, rows, watch, anyway)
    if given.json:
        result = {"machine": here, "quiet_below": QUIET, "quick": given.quick, "parts": results}
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if anyway:
        return 0
    missed = any(row["verdict"] == "missed" for result in results.values() for row in result["rows"])
    return 3 if not all(result["quiet"] for result in results.values()) else int(missed)


def document(row: Row) -> dict[str, Any]:
    """Return a figure as plain data, with its verdict."""
    target = row.target and {name: value for name, value in asdict(row.target).items() if math.isfinite(value)}
    return {**asdict(row), "target": target, "verdict": row.verdict}


def _heading(here: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    load = ", ".join(f"{one:.1f}" for one in here["load_average"] or ())
    return (f"{here['processor']}, {here['usable_cores']} of {here['cores']} cores, {here['threads']} thread(s), "
            f"load {load}{', ' + here['gpu'] if here['gpu'] else ''}\nPython {here['python']}, {versions}\n\n"
            f"{'part':13} {'setting':12} {'figure':42} {'median':>8}  {'95% interval':18} {'n':>4}  {'target':9}")


def _refusal(part: str, others: float) -> str:
    used = "an unknown number of" if math.isnan(others) else f"{others:.2f}"
    return (f"{part and part + ': '}no conclusion: other processes use {used} cores; at most {QUIET} are allowed. Stop "
            "them and run this again, or look at the figures with --anyway.")


def _show(part: str, rows: Iterable[Row], watch: Watch, anyway: bool) -> None:
    if not watch.quiet and not anyway:
        print(_refusal(part, watch.others))
        return
    for row in rows:
        name, unit = f"{part:13} {row.setting:12} {row.what:42}", row.unit if len(row.unit) == 1 else ""
        if row.figure is None:
            print(f"{name} {row.note}")
            continue
        median, low, high = (_figure(value) for value in (row.figure.median, row.figure.low, row.figure.high))
        said = "; ".join(filter(None, ("" if unit else row.unit, row.note)))
        print(f"{name} {median + unit:>8}  {low:>7} to {high:<7} {row.figure.repeats:4}  {row.target or ''!s:9} "
              f"{row.verdict:7}  {said}".rstrip())
    print(f"{part:13} {watch.seconds:.0f} s; others used {watch.others:.2f} cores")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 10 else f"{value:.3f}"
