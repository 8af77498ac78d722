"""`batch_size: max` against the memory that there really is, its refusal, and a batch that is cut as it is too large.

ResNet-32 at 32 px, within a twentieth and a fifth of the GPU's memory. What is found must train, and twice as much
must not, but in pieces.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import torch
from machine import Row, Target, spread
from trainer import Setting, random_images

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset
from autotricks.errors import ResourceError
from autotricks.trial import run_trial

from .told import Told

SETTING = Setting("resnet32, 32 px", "resnet32", (3, 32, 32), 1, 2**15, 1)
SMALL = replace(SETTING, name="resnet8, 32 px", model="resnet8", images=64)
PARTS = (0.05, 0.2)             # of the GPU's memory
NOTHING = 1e-5                  # of it, in which not even one image fits
BYTES = 2**28                   # on a CPU


def measure(told: Told) -> Iterator[Row]:
    """Yield the sizes found, what twice as many images come to, and whether too little is refused."""
    if not find_spec("yaml"):
        yield Row("", "largest batch", None, note="left out: yaml cannot be imported here")
        return
    from autotricks.probes.batch_size import largest_batch

    setting = SMALL if told.quick else SETTING
    dataset, bundle = random_images(setting), Bundle((), setting.model, 2, 1)
    gpu = told.device == "cuda"
    for part in PARTS if gpu else (float(BYTES),):
        size = largest_batch(bundle, dataset, told.device, part)
        said = f"{part:.0%} of the memory" if gpu else f"{part / 2**20:.0f} MiB"
        yield Row(setting.name, f"largest batch in {said}", spread([float(size)]), "images",
                  note="all that there are" if 2 * size > setting.images else "")
        if gpu and 2 * size <= setting.images:
            yield from _twice(setting, dataset, bundle, size, part)
    try:
        found = largest_batch(bundle, dataset, told.device, NOTHING if gpu else 1.0)
        said, refused = f"it found {found} instead", 0.0
    except ResourceError as error:
        said, refused = str(error), 1.0
    yield Row(setting.name, "refuses memory for nothing", spread([refused]), "refusals", Target(least=1), said)


def _twice(setting: Setting, dataset: Dataset, bundle: Bundle, size: int, part: float) -> Iterator[Row]:
    """Yield into how many pieces a batch is cut, once in what fits and once in twice as much."""
    torch.cuda.set_per_process_memory_fraction(part)
    for count, target in ((size, Target(most=1)), (2 * size, Target(least=2))):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        few = replace(dataset, train=dataset.train.sample(count))
        result = run_trial(replace(bundle, batch_size=count), few, device="cuda")
        total = torch.cuda.get_device_properties(0).total_memory
        yield Row(setting.name, f"pieces of {count:,} images in {part:.0%}", spread([float(result.micro_batches)]),
                  "pieces", target, f"{result.end.value}; {torch.cuda.max_memory_reserved() / total:.1%} reserved")
    torch.cuda.set_per_process_memory_fraction(1.0)
