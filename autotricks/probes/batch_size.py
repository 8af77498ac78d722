"""`batch_size: max`: the largest power of two of images whose step fits in memory, found by training."""
from __future__ import annotations

import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..data.memory import available
from ..errors import ModelError, ResourceError
from ..models import check
from ..trial import prepare
from ..tuning.engines.rung_training import warm_up
from ..tuning.engines.worker_context import worker_context

if TYPE_CHECKING:
    from ..space.load import LoadedSpace  # pydantic, which the probe itself does not need

MEMORY_FRACTION = 0.5   # of what is free now; trials differ in what their tricks need
SEEN = 256              # validation images that are evaluated meanwhile


def with_largest_batch(loaded: LoadedSpace, dataset: Dataset, slots: int, trust: bool = False) -> LoadedSpace:
    """Return the space with the batch size that `max` comes to with its baseline, for `slots` trials at a time.

    Raises:
        ResourceError: When not even one image fits, or this system cannot limit memory.
    """
    gpus = loaded.document.resources.gpus
    device, memory = ("cuda", min(1.0, gpus)) if gpus else ("cpu", MEMORY_FRACTION * available() / slots)
    size = largest_batch(loaded.space.baseline(), dataset, device, memory, trust)
    return loaded.with_batch_size(size)


def largest_batch(bundle: Bundle, dataset: Dataset, device: str, memory: float, trust: bool = False) -> int:
    """Return the largest power of two, not above the number of training images, that trains within the memory.

    Each size is really trained for two steps, in a process of its own with its memory limited, so that nothing else is
    hurt when it runs out. Tricks that need more memory than `bundle` cut their batches by themselves on a GPU.

    Args:
        bundle: What is trained.
        dataset: Train and validation.
        device: Where to train.
        memory: On a CPU bytes; on a GPU the share of its memory.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        ResourceError: When not even one image fits, or this system cannot limit memory.

    Cost: two to three epochs of training where everything fits, less where it does not.
    """
    if device == "cpu" and not sys.platform.startswith("linux"):
        raise ResourceError("training.batch_size: max needs Linux on a CPU, whose memory it can limit. Give a number.")
    best = 0
    with ProcessPoolExecutor(1, worker_context(), _limit, (device, memory, bundle.model, trust)) as pool:
        for power in range(int(math.log2(len(dataset.train))) + 1):
            size = 2 ** power
            part = replace(dataset, train=dataset.train.sample(size), validation=dataset.validation.sample(SEEN),
                           test=None)
            try:
                fits = pool.submit(_fits, replace(bundle.rescaled(2), batch_size=size), part, device, trust).result()
            except BrokenProcessPool:   # a library that ends the process where it gets no memory
                fits = False
            if not fits:
                break
            best = size
    if not best:
        raise ResourceError(f"training.batch_size: max found no size that fits on {device}: not even one image does. "
                            "Take a smaller model or smaller images.")
    return best


def _limit(device: str, memory: float, model: str, trust: bool) -> None:
    """Limit this process: beyond what it has by now, with the code that makes the model; or to a share of the GPU."""
    warm_up(torch.get_num_threads())
    with suppress(ModelError):      # which the first step says
        check(model, trust, objects=None)
    if device != "cpu":
        torch.cuda.set_per_process_memory_fraction(memory)
        return
    import resource

    torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8)).sum().backward()   # threads and libraries are no part of a batch
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = mapped + int(memory)
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _fits(bundle: Bundle, dataset: Dataset, device: str, trust: bool) -> bool:
    """Return whether two steps of the bundle go through without cutting the batch."""
    try:
        trainer = prepare(bundle, dataset, device, trust)
        before = trainer.run.runtime.micro_batches
        for _ in trainer.epochs():
            pass
        return trainer.run.runtime.micro_batches == before
    except (MemoryError, torch.OutOfMemoryError):
        return False
    except RuntimeError as error:    # of a CPU's allocator, and of oneDNN, which has no class of its own for it
        if "memory" in str(error) or "could not create" in str(error):
            return False
        raise
