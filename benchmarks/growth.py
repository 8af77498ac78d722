"""How time and memory grow: with images, with trials, with tricks in the space. Writes a plot beside the figures.

Images: one epoch of the trainer over 1, 4 and 16 times as many, and the memory that it takes beyond the program's.
Trials: a search of 24, 96 and 384 trials that train nothing, through chooser, ledger and local workers.
Tricks: 24 proposals from the first quarter, half and all of the tricks of `long_tail.yaml`.

A figure is what one unit (image, trial, proposal) costs at the largest size over what it costs at the smallest: 1 is
linear.
"""
from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import Row, Target, conclude, parser, spread

LINEAR = Target(most=1.15)
IMAGES, TRIALS, PARTS = (1, 4, 16), (24, 96, 384), (0.25, 0.5, 1.0)
BASE = 2_000
PLOT = Path("growth.svg")
EPOCH = """
import resource, sys, time
import torch
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import plan_of
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.models import build
from autotricks.trainer import Trainer
torch.set_num_threads(1)
count = int(sys.argv[1])
made = lambda count: Split.plain(torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8), torch.arange(count) % 10)
def trained(count):
    split = made(count)
    dataset = Dataset(split, made(200), None, tuple("abcdefghij"), (0.5,), (0.25,), "made", "made", CLASSIFICATION)
    epochs = Trainer(plan_of(Bundle((), "resnet8", 3, 64), CLASSIFICATION), build("resnet8", 10, 1), dataset).epochs()
    next(epochs)
    started = time.process_time()
    next(epochs)
    return time.process_time() - started
trained(200)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(trained(count), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def images(factor: int) -> tuple[float, float]:
    """Return the CPU seconds of an epoch and the MiB beyond the program's, in a process of its own."""
    ended = subprocess.run([sys.executable, "-c", EPOCH, str(BASE * factor)], capture_output=True, text=True,
                           check=True)
    seconds, memory = ended.stdout.split()
    return float(seconds), float(memory) / 1024


def trials(count: int) -> tuple[float, float]:
    """Return the seconds of a search whose trials train nothing, and the MiB that it added to this process."""
    from trials import Ends, IdleSearch

    from autotricks.data import load as load_data
    from autotricks.runs import folder as folders
    from autotricks.runs.ledger import Ledger
    from autotricks.space.load import load_space
    from autotricks.tuning.engines.engine import TrainingOptions
    from autotricks.tuning.engines.local import LocalEngine

    loaded = load_space("long_tail.yaml", [f"search.trials={count}", "search.parallel=1"])
    dataset, ends = load_data(loaded.document.data.settings()).dataset.without_test(), Ends()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / folders.LEDGER)
        LocalEngine(TrainingOptions()).run(IdleSearch(loaded, ledger, [ends]), dataset, Path(folder), 1)
        ledger.close()
    return ends.times[-1] - ends.times[0], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def tricks(part: float) -> tuple[float, int]:
    """Return the seconds of 24 proposals from a part of the tricks, and how many tricks that is."""
    from dataclasses import replace

    from autotricks.space.load import load_space
    from autotricks.tuning.samplers import sampler_of

    loaded = load_space("long_tail.yaml")
    space = loaded.space
    needed = [entry for entry in space.entries if entry.always or entry.name in ("sgd", "cosine_head")]
    others = [entry for entry in space.entries if entry not in needed]
    space = replace(space, entries=(*needed, *others[:round(part * len(space.entries)) - len(needed)]))
    chooser = sampler_of(replace(loaded, space=space))
    started = time.process_time()
    for number in range(24):
        chooser.propose(number, number)
        chooser.report(number, loaded.document.training.epochs if number % 3 == 0 else 6, number / 24)
        chooser.tell(number, number / 24, number % 3 == 0)
    return time.process_time() - started, len(space.entries)


def measure(quick: bool) -> list[Row]:
    """Return the rows of this part, and draw them."""
    end = 2 if quick else 3
    by_images = {factor: images(factor) for factor in IMAGES[:end]}
    by_trials = {count: trials(count) for count in TRIALS[:end]}
    by_tricks = {tricks(part)[1]: tricks(part)[0] for part in PARTS}
    draw(by_images, by_trials, by_tricks)
    rows = [("digits", "an epoch, per image", {size: value[0] for size, value in by_images.items()}, "s"),
            ("no-op", "a search, per trial", {size: value[0] for size, value in by_trials.items()}, "s"),
            ("long_tail", "a proposal, per trick", by_tricks, "s")]
    made = []
    for setting, what, figures, unit in rows:
        small, large = min(figures), max(figures)
        ratio = (figures[large] / large) / (figures[small] / small)
        said = ", ".join(f"{size}: {value:.2f} {unit}" for size, value in figures.items())
        made.append(Row(setting, what, spread([ratio]), "x", LINEAR, said, {"figures": figures}))
    for setting, what, figures in (("digits", "memory of an epoch, largest size", by_images),
                                   ("no-op", "memory of a search, largest size", by_trials)):
        made.append(Row(setting, what, spread([figures[max(figures)][1]]), "MiB", None, ", ".join(
            f"{size}: {value[1]:.0f}" for size, value in figures.items())))
    return made


def draw(by_images: dict[int, tuple[float, float]], by_trials: dict[int, tuple[float, float]],
         by_tricks: dict[int, float]) -> None:
    """Write the plot: cost against size, both relative to the smallest, on logarithmic axes; dashes are linear."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, costs in (("images (epoch)", {size: value[0] for size, value in by_images.items()}),
                        ("trials (search)", {size: value[0] for size, value in by_trials.items()}),
                        ("tricks (proposal)", by_tricks)):
        first = min(costs)
        sizes, times = [size / first for size in costs], [cost / costs[first] for cost in costs.values()]
        axes.loglog(sizes, times, "o-", label=name)
    axes.loglog([1, 16], [1, 16], "k--", linewidth=1, label="linear")
    axes.set(xlabel="times as many", ylabel="times as long")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(PLOT)


if __name__ == "__main__":
    sys.exit(conclude({"growth": measure}, parser(__doc__).parse_args()))
