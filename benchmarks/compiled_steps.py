"""What compiled steps gain on one thread, what compiling takes, and what `training.compile: auto` makes of it.

For each setting a process of its own times steps as they are and compiled, in turn, and how long compiling takes from
an empty cache on disk and from one that holds the model: the probe of a search, without its gate. Then: the steps from
which a search of one model on two processes would be compiled, and what `auto` says of a search of 12 hours.
Seconds are those of one thread at work, compilers that it calls included, whatever else the machine does.

    python benchmarks/compiled_steps.py [NAME ...]

A setting takes minutes, most of them of the compiler.
"""
from __future__ import annotations

import sys

import torch
from trainer import CLASSES

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.data import Settings, load
from autotricks.probes.compiled_steps import PAYS, Stake, decided, measured
from autotricks.space.precision_layout import uses
from autotricks.tasks.classification import CLASSIFICATION

PATIENCE = 3600.0
HOURS = 12
SLOTS = 2


def noise(count: int, side: int) -> Dataset:
    """Return images of noise, in color."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    split = Split.plain(images, torch.arange(count) % CLASSES)
    names = tuple(map(str, range(CLASSES)))
    return Dataset(split, split, None, names, (0.5,) * 3, (0.25,) * 3, "noise", "noise", CLASSIFICATION)


def scenes() -> Dataset:
    """Return the scenes that ship, with their boxes."""
    return load(Settings("digit_scenes", task="detection")).dataset


SETTINGS = {
    "resnet8": (Bundle(uses("fp32", "auto"), "resnet8", batch_size=64), lambda: noise(64, 8)),
    "resnet20": (Bundle(uses("fp32", "auto"), "resnet20", batch_size=128), lambda: noise(128, 32)),
    "vit": (Bundle((), "timm:vit_tiny_patch16_224?img_size=64&patch_size=8", batch_size=32), lambda: noise(32, 64)),
    "fcos": (Bundle((), "fcos:resnet8", batch_size=16), scenes),
}


def main() -> None:
    """Measure what is named, or all, and print a line for each."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or SETTINGS:
        bundle, dataset = SETTINGS[name]
        found = measured(bundle, dataset(), "cpu", 1, PATIENCE)
        if found is None:
            print(f"{name}: cannot be compiled", flush=True)
            continue
        one = Stake(HOURS * 3600 * SLOTS / found.eager, found.eager, HOURS * 3600, SLOTS, 1, 2 * SLOTS)
        least = PAYS * one.spent(found.cold, found.warm) / found.less if found.less else float("inf")
        print(f"{name}: eager {1000 * found.eager:.1f} ms, compiled {1000 * found.compiled:.1f} ms, cold "
              f"{found.cold:.1f} s, warm {found.warm:.1f} s; pays from {least:.0f} steps, "
              f"{least * found.eager / SLOTS / 60:.0f} min; {found.duel}; {decided(one, found)}", flush=True)


if __name__ == "__main__":
    main()
