"""Duration: how long a search takes on this machine, from a few steps of what it will try first."""
from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean

import torch

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..data import load as load_data
from ..data.sources import EMBEDDED
from ..errors import AutotricksError
from ..space.compiled_steps import compiles
from ..space.load import LoadedSpace
from ..space.weights import wanted
from ..system.workers import cores
from ..trial import prepare
from ..tuning.engines.select import engine_of
from ..tuning.samplers import sampler_of
from ..tuning.workload import Workload, workload
from .compatibility import Built, with_stand_ins

LIMIT = 0.8         # seconds that a probe goes on for
GROWTH = 8          # times as many images at a time, as long as there is time, where there is none for a whole batch
STEPS = 4           # that are timed, after one that is not
NOTED = 0.3         # cores of other work, from which it is said
LOADS = Path("/proc/loadavg")
GLANCES = 5         # at what runs now
PAUSE = 0.02        # seconds between two of them
OWN = 0.5           # processes that our own start adds to the machine's load
WORTH = 0.02        # of the search, that a probe may take
PROPOSED = 4        # bundles that the sampler proposes first, beside the start bundles
SEEN = 1000         # training images that the end of a training looks at
EACH = 0.15         # seconds between two trials of a slot: the proposal, the ledger
TAIL = 0.5          # of a full training, in which the last trials leave other slots idle
BEGIN = {"local": 6.0, "ray": 14.0}     # seconds from the command to the first step on two cores
QUICK_BYTES = 16 * 2**20                # of image files that are read in about a second
QUICK_FILES = 5000
QUICK_ARRAYS = 64 * 2**20               # of an archive of arrays
BLOCK = 4 * 2**20       # bytes that a core is kept busy with at a time


@dataclass(frozen=True)
class Timing:
    """What parts of a training take, in seconds.

    Args:
        step: Of training, the mean of those bundles that were tried.
        image: Of evaluation, for each image.
        begin: Before the first step: the model is built.
        others: Processes beside ours that want a core, of which the times know nothing.
    """

    step: float
    image: float
    begin: float
    others: float = 0.0

    def scaled(self, times: float) -> Timing:
        """Return it with steps of so many times the images."""
        return replace(self, step=self.step * times)

    def training(self, epochs: int, steps: int, train: int, validation: int) -> float:
        """Return the seconds of a whole training.

        Args:
            epochs: Of it.
            steps: Of an epoch.
            train: Training images.
            validation: Validation images.
        """
        return self.begin + epochs * (steps * self.step + validation * self.image) + min(SEEN, train) * self.image


@dataclass(frozen=True)
class Duration:
    """How long a search is expected to take, in seconds.

    Args:
        begin: Before the first step.
        search: All trials.
        confirmation: What comes after them.
        step: One step of training.
        slots: Trials at a time.
        others: Processes beside ours that want a core.
    """

    begin: float
    search: float
    confirmation: float
    step: float
    slots: int
    others: float = 0.0

    @property
    def total(self) -> float:
        """Everything together."""
        return self.begin + self.search + self.confirmation

    def __str__(self) -> str:
        parts = f", {in_words(self.confirmation)} of it for confirmation" if self.confirmation else ""
        beside = f", beside other work for {self.others:.1f} cores" if self.others >= NOTED else ""
        return (f"about {in_words(self.total)}{parts} (probe: {milliseconds(self.step)} a step, {self.slots} at a time"
                f"{beside})")


def milliseconds(seconds: float) -> str:
    """Return a short time as `0.9 ms`, `12 ms` or `3.4 s`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.002 else f"{1000 * seconds:.1f} ms"


def in_words(seconds: float) -> str:
    """Return a time as `45 s`, `12 min`, `1 h 20 min` or `2 d 5 h`, as exactly as an estimate deserves."""
    if seconds < 57.5:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        hours, rest = divmod(5 * round(minutes / 5), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def probed(loaded: LoadedSpace, dataset: Dataset, slots: int, trust: bool = False) -> Timing | None:
    """Time what a search tries first, None where that cannot be trained here.

    Args:
        loaded: The space, fitted to the data.
        dataset: Train and validation.
        slots: Trials at a time.
        trust: Whether a model of the form `my.module:function` may be imported.

    Cost: two hundredths of the search, but a second or two at most; the first steps of the baseline at least.
    """
    resources = loaded.document.resources
    threads = max(1, int(resources.cpus))
    single = not resources.gpus and threads == 1 and isinstance(dataset.train.images, torch.Tensor)
    # one thread's time at work does not hang on what else the machine does meanwhile
    steps = _Steps(dataset.without_test(), "cuda" if resources.gpus else "cpu", trust,
                   time.thread_time if single else time.perf_counter)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with _kept_busy(0 if resources.gpus else min(slots, cores()) - 1):
            timing = _probed(loaded, dataset, slots, steps)
    except Exception:       # whatever a library or the user's code raises: the baseline's own trial will say it
        return None
    finally:
        torch.set_num_threads(before)
    return replace(timing, others=_others() if single else 0.0)


def _others() -> float:
    """Return how many other processes want a core: over the last minute or, where these are fewer, right now.

    Our own start is left out, and so is what has ended, such as a search before this one: for a minute it still counts
    in the load.
    """
    if not hasattr(os, "getloadavg"):
        return 0.0
    return max(0.0, min(os.getloadavg()[0] - OWN, _running()))


def _running() -> float:
    """Return how many others run or wait for a core now, infinity where the system does not say it."""
    seen = []
    for _ in range(GLANCES):
        try:
            seen.append(int(LOADS.read_text().split()[3].partition("/")[0]) - 1)    # which is this one
        except (OSError, ValueError, IndexError):
            return math.inf
        time.sleep(PAUSE)
    return fmean(seen)


def _probed(loaded: LoadedSpace, dataset: Dataset, slots: int, steps: _Steps) -> Timing:
    """Time the baseline and, as far as that is worth it, what comes after it; part of a batch where it takes long."""
    baseline, *others = loaded.start.values()
    whole = min(baseline.batch_size, len(dataset.train))
    size = min(2, whole)
    until = time.perf_counter() + LIMIT
    first = steps.timed(baseline, size, 1)
    while size < whole:
        larger = [images for images in (whole, min(whole, size * GROWTH))
                  if first.step * images / size * 2 <= LIMIT]      # one step that is not timed, and one that is
        if not larger:
            break
        size = larger[0]
        first = steps.timed(baseline, size, STEPS if size == whole else 1)
    timings = [first.scaled(whole / size)]
    rough = duration(timings[0], workload(loaded), loaded, dataset, slots)
    until = min(until, time.perf_counter() + WORTH * (rough.search + rough.confirmation))
    for bundle in chain(others, _proposed(loaded)):
        if time.perf_counter() > until:
            break
        with suppress(Exception):       # its own trial will say it
            timings.append(steps.timed(bundle, size, STEPS).scaled(whole / size))
    return Timing(fmean(one.step for one in timings), fmean(one.image for one in timings),
                  fmean(one.begin for one in timings))


def duration(timing: Timing, work: Workload, loaded: LoadedSpace, dataset: Dataset, slots: int,
             seconds: float = math.inf) -> Duration:
    """Return how long the rest of a workload takes at this timing.

    Args:
        timing: Of what the search tries.
        work: What is left to train.
        loaded: The space.
        dataset: Of which the numbers of images count, those of test too.
        slots: Trials at a time.
        seconds: After which the search begins no trial.
    """
    images = len(dataset.train)
    steps = max(1, images // min(loaded.space.frame.batch_size, images))
    waits = max(1.0, (timing.others + slots) / cores()) if timing.others else 1.0
    training = waits * timing.training(work.length, steps, images, len(dataset.validation))
    tail = TAIL * training if slots > 1 and work.epochs else 0.0
    search = (work.epochs / work.length * training + work.left * waits * EACH) / slots + tail
    rounds = -(-work.confirmations // slots)
    tested = 3 * loaded.document.confirm.trainings * len(dataset.test or dataset.validation) * timing.image * waits
    again = rounds * training + tested if work.confirmations else 0.0
    begin = waits * BEGIN[engine_of(loaded.document)]
    return Duration(begin, min(search, seconds + tail), again, timing.step, slots, timing.others)


def quick_duration(loaded: LoadedSpace, slots: int, trust: bool = False) -> Duration | str:
    """Return how long a search is expected to take, or why that is not known yet, in about a second.

    Data that take longer to read are left to the search; published weights are not fetched, as random ones take the
    same time.
    """
    settings = loaded.document.data.settings()
    if not _quick(settings.source):
        return "known when the data are loaded: the first lines of the search say it"
    try:
        data = load_data(settings, trust).dataset
        if wanted(loaded):
            data = with_stand_ins(loaded, data, trust)
    except (AutotricksError, OSError) as error:
        return f"not known: {str(error).splitlines()[0].rstrip('.')}"
    loaded = replace(loaded, images=len(data.train))
    timing = probed(loaded, data, slots, trust)
    if timing is None:
        return "not known: the baseline cannot be trained on this machine; the search says why"
    return duration(timing, workload(loaded), loaded, data, slots)


def _quick(source: str) -> bool:
    """Return whether a source is read in about a second."""
    word, _, location = source.partition(":")
    path = Path(location).expanduser()
    if word in EMBEDDED:
        return True
    if word == "npz":
        return not path.exists() or path.stat().st_size <= QUICK_ARRAYS
    if word not in ("image_folder", "csv"):
        return False
    count = size = 0
    for folder, _, names in os.walk(path if word == "image_folder" else path.parent):
        for name in names:
            count += 1
            with suppress(OSError):
                size += os.path.getsize(os.path.join(folder, name))
            if count > QUICK_FILES or size > QUICK_BYTES:
                return False
    return True


def _proposed(loaded: LoadedSpace) -> Iterator[Bundle]:
    """Yield what a search proposes first, after its start bundles."""
    sampler = sampler_of(loaded)
    for number, bundle in enumerate(loaded.start.values()):
        sampler.adopt(number, bundle, True)
    for number in range(PROPOSED):
        proposed = sampler.propose(len(loaded.start) + number, number)
        if proposed is None:
            return
        yield proposed.bundle


def _uncompiled(bundle: Bundle) -> Bundle:
    """Return a bundle whose steps run as they are: compiling takes longer than a probe may."""
    return replace(bundle, uses=tuple(use for use in bundle.uses if not compiles(use)))


@dataclass(frozen=True)
class _Steps:
    """What times steps.

    Args:
        dataset: Train and validation.
        device: Where to train.
        trust: Whether a model of the form `my.module:function` may be imported.
        clock: In seconds.
    """

    dataset: Dataset
    device: str
    trust: bool
    clock: Callable[[], float]

    def timed(self, bundle: Bundle, size: int, steps: int) -> Timing:
        """Time so many steps of a bundle, `size` images at a time, after one that is not timed, and an evaluation.

        None of them is compiled.
        """
        times = [self.clock()]
        part = replace(self.dataset, validation=self.dataset.validation.sample(4 * size))
        trainer = prepare(replace(_uncompiled(bundle), batch_size=size), part, self.device, self.trust, Built)
        trainer.enter(trainer.plan.phases[0])
        trainer.run.train()
        times.append(self.clock())
        for rows in trainer.rows(1 + steps, 0):
            float(trainer.step(rows))       # the device has done it then
            times.append(self.clock())
        trainer.evaluate()
        begun, _, first, *_, last = times
        evaluated = self.clock() - last
        return Timing((last - first) / steps, evaluated / len(part.validation), times[1] - begun)


@contextmanager
def _kept_busy(count: int) -> Iterator[None]:
    """Keep so many cores busy meanwhile, as other trials will: they share caches, memory and clock rate."""
    over = threading.Event()

    def busy() -> None:
        block = bytes(BLOCK)
        while not over.is_set():
            hashlib.sha256(block)       # without Python's lock
    others = [threading.Thread(target=busy, daemon=True) for _ in range(count)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        over.set()
        for other in others:
            other.join()
