"""`training.compile: auto`: whether compiled steps repay what compiling takes, found once before a long search.

Compiling takes each process from seconds to a minute, and the probe as much. So it is asked first whether even a gain
that one may only hope for would repay that over the whole search; in most searches it would not, and nothing is done.
Where it would, steps as they are and compiled ones are timed in turn, in a process of its own and from an empty cache,
so that the same command finds the same each time. The plain way stands unless compiled steps are clearly faster and
save a multiple of what compiling takes.
"""
from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import torch

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.slots import Slot
from ..space.compiled_steps import compiling, quarrel
from ..space.load import LoadedSpace
from ..space.space import Entry
from ..system.lazy_compiler import compile_alone
from ..system.workers import follow_parent
from ..tricks.runtime.torch_compile import missing
from ..tuning.engines.worker_context import worker_context
from ..tuning.workload import Workload
from .duel import Duel, fought, steps, timed
from .duration import Timing, duration, in_words, milliseconds, probed

ARMS = ("eager", "compiled")
PAYS = 2            # times what compiling takes, that it must save: trials end early, and some run as they are
SHARE = 0.02        # of a search, that the probe may take
HOPED = {"cpu": 1.5, "cuda": 2.0}   # times as fast as one may hope for
COLD = 60.0         # seconds that a first model is expected to take until it is compiled
WARM = 6.0          # seconds where the cache on disk holds it
PATIENCE = 2        # times as long as expected, after which the probe is given up


@dataclass(frozen=True)
class Stake:
    """What a search has at stake. Seconds are those of one trial's share of the machine, summed over trainings.

    Args:
        steps: That all trainings take together.
        step: Seconds of one as it is.
        wall: Seconds of search and confirmation on the clock.
        slots: Trials at a time.
        graphs: Models that differ, each of which is compiled from nothing once.
        begins: Times that a process begins with a model that the cache on disk holds.
    """

    steps: float
    step: float
    wall: float
    slots: int
    graphs: float
    begins: float

    def saved(self, less: float) -> float:
        """Return the seconds saved where each step takes so many seconds less."""
        return self.steps * less

    def spent(self, cold: float, warm: float) -> float:
        """Return the seconds that compiling takes, from nothing and from the cache."""
        return max(self.graphs, self.slots) * cold + self.begins * warm

    def pays(self, less: float, cold: float, warm: float) -> bool:
        """Return whether what is saved is worth what is spent."""
        return self.saved(less) >= PAYS * self.spent(cold, warm)

    def worth_a_probe(self, device: str) -> bool:
        """Return whether the gain that one may hope for would pay, and a probe would hardly be noticed."""
        hoped = self.step * (1 - 1 / HOPED[device])
        return expected(self.step) <= SHARE * self.wall and self.pays(hoped, COLD, WARM)


def expected(step: float) -> float:
    """Return the seconds that a probe is expected to take where a step takes so many."""
    return COLD + 2 * WARM + 20 * step


@dataclass(frozen=True)
class Measured:
    """What a few steps said.

    Args:
        duel: Steps as they are against compiled ones, in seconds.
        cold: Seconds until a first model is compiled, from an empty cache.
        warm: Seconds until a process that has just begun has compiled a model that the cache holds.
    """

    duel: Duel
    cold: float
    warm: float

    @property
    def eager(self) -> float:
        """Seconds of a step as it is."""
        return min((one for one, _ in self.duel.rounds), default=math.inf)

    @property
    def compiled(self) -> float:
        """Seconds of a compiled step."""
        return min((other for _, other in self.duel.rounds), default=math.inf)

    @property
    def less(self) -> float:
        """Seconds that compiling takes from a step."""
        return max(0.0, self.eager - self.compiled) if math.isfinite(self.compiled) else 0.0


@dataclass(frozen=True)
class Decision:
    """What is done, and why.

    Args:
        on: Whether steps are compiled.
        reason: In words.
    """

    on: bool
    reason: str

    def __str__(self) -> str:
        return f"training.compile: auto is {'on' if self.on else 'off'}: {self.reason}"


def decided(stake: Stake, found: Measured) -> Decision:
    """Return whether steps are compiled: where they are clearly faster and save a multiple of what compiling takes."""
    times = f"a step takes {milliseconds(found.eager)}, compiled {milliseconds(found.compiled)}"
    if not found.duel.won:
        return Decision(False, str(found.duel) if math.isinf(found.compiled) else f"{times}, which is not clearly less")
    saved, spent = (in_words(seconds / stake.slots) for seconds in (
        stake.saved(found.less), stake.spent(found.cold, found.warm)))
    pays = stake.pays(found.less, found.cold, found.warm)
    enough = "" if pays else f", and it is to save {PAYS} times that"
    return Decision(pays, f"{times}, which saves {saved}; compiling takes {spent} in all, {found.cold:.0f} s for a new "
                          f"model and {found.warm:.0f} s for one in the cache{enough}")


def with_compiled_steps(loaded: LoadedSpace, dataset: Dataset, slots: int, work: Workload, seconds: float = math.inf,
                        trust: bool = False) -> tuple[LoadedSpace, Decision | None, Timing | None]:
    """Return the space with compiled steps where they pay, why, and what was timed on the way.

    Nothing is tried, and there is no reason to tell, where a trick of the space leaves the choice to the search or
    leaves no room for it, where a compiler is missing, and where the search is too short.

    Args:
        loaded: The space, with precision and layout settled.
        dataset: Train and validation.
        slots: Trials at a time, on this machine.
        work: What is to be trained.
        seconds: After which the search begins no trial.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    device = "cuda" if loaded.document.resources.gpus else "cpu"
    if missing(device) or quarrel(loaded.space):
        return loaded, None, None
    timing = probed(loaded, dataset, slots, trust)
    if timing is None:
        return loaded, None, None
    stake = at_stake(loaded, dataset, slots, timing, work, seconds)
    if not stake.worth_a_probe(device):
        return loaded, None, timing
    runtime = tuple(use for use in loaded.space.constants() if Slot.RUNTIME in use.trick.seats)
    frame = replace(loaded.space.frame, uses=runtime)
    threads = max(1, int(loaded.document.resources.cpus))
    found = measured(frame, dataset, device, threads, PATIENCE * expected(stake.step), trust)
    decision = decided(stake, found) if found else Decision(False, "the model cannot be compiled here, or not in time")
    return loaded.with_compiled_steps(decision.on), decision, timing


def at_stake(loaded: LoadedSpace, dataset: Dataset, slots: int, timing: Timing, work: Workload,
             seconds: float = math.inf) -> Stake:
    """Return what a search has at stake.

    Args:
        loaded: The space.
        dataset: Of which the numbers of images count.
        slots: Trials at a time.
        timing: Of what the search tries.
        work: What is to be trained.
        seconds: After which the search begins no trial.
    """
    alone = replace(timing, others=0.0)     # of other work on this machine: the same search is the same stake
    whole = duration(alone, work, loaded, dataset, slots)
    cut = duration(alone, work, loaded, dataset, slots, seconds)
    share = cut.search / whole.search
    images = len(dataset.train)
    of_an_epoch = max(1, images // min(loaded.space.frame.batch_size, images))
    trials = share * work.left
    epochs = share * work.epochs + work.confirmations * work.length
    models = len(loaded.space.models) or 1
    differ = any(map(alters, loaded.space.entries))
    begins = trials + work.confirmations if differ else 2 * slots * models      # workers of search and confirmation
    return Stake(epochs * of_an_epoch, timing.step, cut.total, slots, trials if differ else models, begins)


def alters(entry: Entry) -> bool:
    """Return whether a trick that trials may have or not makes another model to compile, or trains part of it."""
    seats = entry.trick.seats
    rebuilt = seats.get(Slot.MODEL, "init") != "init"       # which sets numbers alone
    return not entry.always and (rebuilt or seats.get(Slot.GRADIENTS) == "freeze")


def measured(frame: Bundle, dataset: Dataset, device: str, threads: int, patience: float,
             trust: bool = False) -> Measured | None:
    """Time steps in a process of its own, as they are and compiled; None where that fails or takes too long.

    Args:
        frame: Model, batch size, precision and layout.
        dataset: Train, of which one batch is taken, and validation, which is not looked at.
        device: `cpu` or `cuda`.
        threads: Of a trial.
        patience: Seconds after which it is given up.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    size = min(frame.batch_size, len(dataset.train))
    small = replace(dataset, train=dataset.train.sample(size), validation=dataset.validation.sample(1), test=None)
    context: Any = worker_context(threads)
    here, there = context.Pipe()
    with tempfile.TemporaryDirectory(prefix="compiled", ignore_cleanup_errors=True) as cache:
        process = context.Process(target=_answer, args=(there, cache, threads, (frame, small, device, trust)))
        process.start()
        there.close()
        try:
            return here.recv() if here.poll(patience) else None
        except EOFError:
            return None
        finally:
            process.kill()
            process.join()
            here.close()


def _answer(pipe: Connection, cache: str, threads: int, asked: tuple[Bundle, Dataset, str, bool]) -> None:
    """Time steps with an empty cache, and send what came of it; nothing where something goes wrong."""
    follow_parent()
    logging.disable(logging.WARNING)    # of what the compiler finds remarkable
    if asked[2] == "cpu":
        compile_alone(threads)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    torch.set_num_threads(threads)
    with suppress(Exception):       # whatever a compiler raises: steps then run as they are
        pipe.send(_timed(*asked, threads))
    pipe.close()


def _clocks(device: str, threads: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return a clock for steps and one for compiling, which counts the compilers that are called.

    They tell one thread's time at work, whatever else the machine does; the second in hundredths of a second alone.
    """
    if device == "cpu" and threads == 1:
        return time.process_time, lambda: sum(os.times()[:4])
    return time.perf_counter, time.perf_counter


def _timed(frame: Bundle, dataset: Dataset, device: str, trust: bool, threads: int) -> Measured:
    """Time steps of a model with plain SGD, as they are and compiled."""
    clock, compiler_clock = _clocks(device, threads)
    compiled = replace(frame, uses=(*frame.uses, compiling()))
    times = [compiler_clock()]
    torch.compile(torch.nn.ReLU(), backend="aot_eager")(torch.zeros(1))     # it is imported, and makes nothing
    times.append(compiler_clock())
    for _ in range(2):
        torch.compiler.reset()
        running = {ARMS[0]: steps(frame, dataset, device, trust), ARMS[1]: steps(compiled, dataset, device, trust)}
        timed(running[ARMS[0]], clock)      # kernels are chosen
        before = compiler_clock()
        timed(running[ARMS[1]], clock)
        times.append(compiler_clock() - before)
    began, imported, cold, warm = times
    once = imported - began
    return Measured(fought(*ARMS, running, clock), once + cold, once + warm)
