"""`training.precision: auto`: what a device trains the model fastest in, found once before a search by a few steps.

The same command should find the same each time. Whether steps are timed at all hangs on the work of a step, which is
counted, not on a clock; and float32 in the usual layout stands unless another arm is clearly faster in nearly all of
several timings in turn.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.reporting import Metrics
from ..core.slots import Slot
from ..space.load import LoadedSpace
from ..space.precision_layout import LAYOUTS, uses
from ..system.lazy_compiler import postpone
from ..trial import NHWC_FROM
from .duel import fought, steps, timed

# Floating point operations of a batch's forward pass below which overhead rules and rounding off would be all there is
# to gain. On one core of a Xeon with AVX-512 ResNets of 8 to 20 layers take 46 to 77 ms a step for 1e9 of them: about
# 30 ms for this many.
WORK = 5e8
Run = Callable[..., "Probed"]


@dataclass(frozen=True)
class Probed:
    """What a few steps said.

    Args:
        precision: `fp32` or `bf16`.
        layout: `nchw` or `nhwc`.
        seconds: Of the fastest step of each arm, by precision and layout, such as `bf16 nhwc`; none where no step was
            timed.
        reason: Why these, in words.
    """

    precision: str
    layout: str
    seconds: dict[str, float]
    reason: str = ""

    @property
    def unusual(self) -> bool:
        """Whether there was a choice to make by timings, which is worth a line."""
        return len(self.seconds) > 1

    def __str__(self) -> str:
        return f"training.precision: auto is {self.precision}, {self.layout}: {self.reason}"


def here(function: Callable[..., Probed], *arguments: Any) -> Probed:
    """Call a function in this process."""
    return function(*arguments)


def usual(dataset: Dataset) -> str:
    """Return the layout that images of this size get where nobody has measured."""
    return "nhwc" if min(dataset.image_shape[1:]) >= NHWC_FROM else "nchw"


def with_precision(loaded: LoadedSpace, dataset: Dataset, trust: bool = False,
                   run: Run = here) -> tuple[LoadedSpace, Probed]:
    """Return the space with the precision and the layout that train its model fastest, for every trial alike.

    What the space lists among its tricks is left to the search, and a layout that it names stays.

    Args:
        loaded: The space.
        dataset: Train and validation.
        trust: Whether a model of the form `my.module:function` may be imported.
        run: Calls a function with its arguments where a trial would be trained.
    """
    wanted = loaded.document.resources
    listed = [entry.trick.seats.get(Slot.RUNTIME) for entry in loaded.space.entries]
    named = loaded.document.training.layout
    known = usual(dataset)
    size = min(loaded.space.frame.batch_size, len(dataset.train))
    small = replace(dataset, train=dataset.train.sample(size), validation=dataset.validation.sample(1), test=None)
    arms = _arms(named if named in LAYOUTS else known, "precision" not in listed, "memory" not in listed)
    device = "cuda" if wanted.gpus else "cpu"
    threads = max(1, int(wanted.cpus))
    probed = run(probe, loaded.space.frame, small, device, threads, trust, arms)
    layout = "auto" if "memory" in listed or probed.layout == known else probed.layout
    loaded = loaded.with_runtime(probed.precision, layout)
    if named in LAYOUTS:    # the space's tricks hold it already; what is read again for a resumed search should too
        training = loaded.document.training.model_copy(update={"layout": named})
        loaded = replace(loaded, document=loaded.document.model_copy(update={"training": training}))
    return loaded, probed


def probe(frame: Bundle, dataset: Dataset, device: str, threads: int = 1, trust: bool = False,
          arms: tuple[str, ...] = ()) -> Probed:
    """Time steps of a bundle's model with plain SGD, two arms in turn: float32 in both layouts, bfloat16 in NHWC.

    Args:
        frame: Model and batch size; its tricks are left out.
        dataset: Train, one batch of it, and validation, which is not looked at.
        device: Where to train.
        threads: Of a trial.
        trust: Whether a model of the form `my.module:function` may be imported.
        arms: Precisions and layouts such as `bf16 nhwc`, first the one that stands unless another is clearly faster;
            all where none is named.

    Raises:
        ModelError: When the model cannot be built or does not suit the data.

    Cost: a forward pass; where its work is enough to be timed, 11 steps if neither arm gains anything, 31 at most.
    """
    arms = arms or _arms(usual(dataset))
    precision, layout = arms[0].split()
    if len(arms) == 1:
        return Probed(precision, layout, {}, "the space's tricks leave no choice")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        work = _work(frame, dataset, device, trust)
        if work < WORK:
            return Probed(precision, layout, {}, f"a batch takes {work / 1e9:.2g} GFLOP forward, too few to gain by; "
                                                 f"steps are timed from {WORK / 1e9:g} on")
        # on a CPU the time at work, whatever else the machine does
        clock = time.process_time if device == "cpu" else time.perf_counter
        return _probe(partial(_steps, frame, dataset, device, trust), arms, clock)
    finally:
        torch.set_num_threads(before)


def _arms(layout: str, precisions: bool = True, layouts: bool = True) -> tuple[str, ...]:
    """Return what may be chosen from: first float32 in this layout, then other layouts and precisions if they may be.

    Where the layout may be any, bfloat16 comes in NHWC alone.
    """
    other = "nchw" if layout == "nhwc" else "nhwc"
    return (f"fp32 {layout}", *[f"fp32 {other}"] * layouts, *[f"bf16 {'nhwc' if layouts else layout}"] * precisions)


def _work(frame: Bundle, dataset: Dataset, device: str, trust: bool) -> int:
    """Return the floating point operations of a batch's forward pass: the same wherever and whenever it is asked."""
    from torch.utils.flop_counter import FlopCounterMode  # a quarter of a second, which no other command should wait

    postpone()
    model = dataset.task.build(frame.model, len(dataset.classes), dataset.image_shape, trust).to(device).eval()
    images = torch.zeros(min(frame.batch_size, len(dataset.train)), *dataset.image_shape, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images)
    return int(counter.get_total_flops())


def _probe(steps: Callable[[str, str], Iterator[Metrics]], arms: tuple[str, ...],
           clock: Callable[[], float]) -> Probed:
    """Return the arm that stands after each of the others has been timed in turn with the one that stood before."""
    running = {name: steps(*name.split()) for name in arms}
    seconds = dict.fromkeys(arms, math.inf)
    for one in running.values():
        timed(one, clock)       # kernels are chosen and compiled
    standing = arms[0]
    duels = []
    for name in arms[1:]:
        duel = fought(standing, name, running, clock)
        fastest = dict(zip((standing, name), map(min, zip(*duel.rounds))))
        seconds = {arm: min(value, fastest.get(arm, math.inf)) for arm, value in seconds.items()}
        duels.append(duel)
        standing = name if duel.won else standing
    precision, layout = standing.split()
    return Probed(precision, layout, seconds, "; ".join(str(duel) for duel in duels))


def _steps(frame: Bundle, dataset: Dataset, device: str, trust: bool, precision: str,
           layout: str) -> Iterator[Metrics]:
    """Return what trains one step each time it is asked."""
    return steps(replace(frame, uses=uses(precision, layout)), dataset, device, trust)
