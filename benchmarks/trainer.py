"""What the trainer costs beside a plain PyTorch loop over the same tensors in memory.

Every arm trains the same number of images, one after another in one process on one thread; they take turns in
slices of one epoch, so that whatever else the machine does falls on all of them. A ratio is images per second of the
arm over those of what it is held against in the same round; reported are its median over the rounds, its quartiles and
a 95% interval of the median. CPU time counts; wall time is shown beside it.

Arms:
    trainer: `Trainer.epochs()` with everything an epoch does but its evaluation, which the loop does not do either:
        sampling, phases, learning rate, batch, step, the sum of losses, reading it, history.
    loop: written by hand: index, divide, normalize, forward, cross-entropy, backward, fused SGD. No loss is kept.
    loop again: a second loop of the same kind; how far it is from 1 is what this machine cannot tell apart.
    bare step: the loop's step on one batch that is ready: no data. The ceiling.
    trainer NHWC, loop NHWC: the same with images and weights in channels-last layout.

In the setting `tricks` the trainer has six tricks on and the loop still none: there the ratio is their price.
Exit codes: 0 done; 1 the target is missed; 3 no conclusion, because other processes kept the machine busy. With
--quick or --anyway it is 0.
"""
from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import autotricks
from autotricks.catalog import make, plan_of
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.run import Runtime
from autotricks.models import build
from autotricks.trainer import Trainer

TARGET = 0.97     # of the plain loop's images per CPU second
QUIET = 0.3       # cores that others may use
CLASSES = 10
SGD: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
TRICKS: dict[str, dict[str, Any]] = {"crop": {}, "flip": {}, "mixup": {}, "label_smoothing": {}, "class_balanced": {},
                                     "ema": {}}
PAIRS = (("trainer", "loop"), ("trainer", "bare step"), ("loop again", "loop"), ("trainer NHWC", "loop NHWC"),
         ("trainer NHWC", "trainer"))

Seconds = tuple[float, float]  # CPU and wall
Arm = Callable[[], None]       # trains for an epoch


@dataclass(frozen=True)
class Setting:
    """What is trained: `images` is an epoch, a multiple of the batch size; each arm trains `rounds` epochs."""

    name: str
    model: str
    image_shape: tuple[int, int, int]
    batch_size: int
    images: int
    rounds: int
    tricks: bool = False


SETTINGS = (Setting("resnet20", "resnet20", (3, 32, 32), 128, 1280, 9),
            Setting("digits", "resnet8", (1, 8, 8), 64, 1280, 81),
            Setting("tricks", "resnet20", (3, 32, 32), 128, 1280, 9, tricks=True))
QUICK = tuple(replace(setting, images=setting.batch_size, rounds=2) for setting in SETTINGS)


class Unevaluated(Trainer):
    """Train without looking at the validation split."""

    def evaluate(self) -> dict[str, float]:
        """Return no figures."""
        return {}


def random_images(setting: Setting) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (setting.images, *setting.image_shape), generator=generator, dtype=torch.uint8)
    train = Split(images, torch.arange(setting.images) % CLASSES)
    channels = setting.image_shape[0]
    return Dataset(train, Split(images[:1], train.labels[:1]), None, tuple("abcdefghij"), (0.5,) * channels,
                   (0.25,) * channels, "random", "random")


def fresh_model(setting: Setting, channels_last: bool) -> nn.Module:
    torch.manual_seed(0)
    model = build(setting.model, CLASSES, setting.image_shape[0])
    return model.to(memory_format=torch.channels_last) if channels_last else model


def trainer_arm(setting: Setting, dataset: Dataset, channels_last: bool = False) -> Arm:
    tricks = {"sgd": SGD, **(TRICKS if setting.tricks else {})}
    bundle = Bundle(tuple(make(name, values) for name, values in tricks.items()), setting.model, epochs=10**6,
                    batch_size=setting.batch_size)
    trainer = Unevaluated(plan_of(bundle), fresh_model(setting, channels_last), dataset,
                          runtime=Runtime(channels_last=channels_last))
    epochs = trainer.epochs()

    def trained() -> None:
        next(epochs)
    return trained


def plain_step(model: nn.Module) -> Callable[[torch.Tensor, torch.Tensor], None]:
    optimizer = torch.optim.SGD(model.parameters(), **SGD, fused=True)

    def stepped(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return stepped


def loop_arm(setting: Setting, dataset: Dataset, channels_last: bool = False) -> Arm:
    model, split, size = fresh_model(setting, channels_last), dataset.train, setting.batch_size
    step, layout = plain_step(model), torch.channels_last if channels_last else torch.contiguous_format
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (dataset.mean, dataset.std))

    def trained() -> None:
        order = torch.randperm(len(split))
        for first in range(0, len(split), size):
            rows = order[first:first + size]
            images = (split.images[rows].float() / 255 - mean) / std
            step(images.contiguous(memory_format=layout), split.labels[rows])
    return trained


def bare_arm(setting: Setting, dataset: Dataset) -> Arm:
    step, labels = plain_step(fresh_model(setting, False)), dataset.train.labels[:setting.batch_size]
    images = (dataset.train.images[:setting.batch_size].float() / 255 - 0.5) / 0.25

    def trained() -> None:
        for _ in range(setting.images // setting.batch_size):
            step(images, labels)
    return trained


def arms_of(setting: Setting) -> dict[str, Arm]:
    dataset = random_images(setting)
    arms = {"trainer": trainer_arm(setting, dataset), "loop": loop_arm(setting, dataset),
            "trainer NHWC": trainer_arm(setting, dataset, True)}
    if not setting.tricks:
        arms |= {"loop NHWC": loop_arm(setting, dataset, True), "loop again": loop_arm(setting, dataset),
                 "bare step": bare_arm(setting, dataset)}
    return arms


def timed(arm: Arm) -> Seconds:
    cpu, wall = time.process_time(), time.perf_counter()
    arm()
    return time.process_time() - cpu, time.perf_counter() - wall


def take_turns(arms: dict[str, Arm], rounds: int) -> dict[str, list[Seconds]]:
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


def spread(ratios: list[float]) -> dict[str, float]:
    """Return median, quartiles and the order statistics between which the true median lies 95 times in 100."""
    ordered, count = sorted(ratios), len(ratios)
    edge = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))
    lower, median, upper = statistics.quantiles(ordered, n=4, method="inclusive") if count > 1 else ordered * 3
    return {"median": median, "lower_quartile": lower, "upper_quartile": upper, "interval_low": ordered[edge],
            "interval_high": ordered[count - 1 - edge]}


def rows_of(setting: Setting, seconds: dict[str, list[Seconds]]) -> Iterator[dict[str, Any]]:
    for arm, against in PAIRS:
        if arm in seconds and against in seconds:
            pairs = list(zip(seconds[arm], seconds[against], strict=True))
            cpu, wall = ([theirs[clock] / ours[clock] for ours, theirs in pairs] for clock in (0, 1))
            speeds = [setting.images / statistics.median(one[clock] for one in seconds[arm]) for clock in (0, 1)]
            yield {"setting": setting.name, "arm": arm, "against": against, "rounds": len(pairs),
                   "images_per_cpu_second": speeds[0], "images_per_second": speeds[1],
                   "cpu_ratio": spread(cpu), "wall_ratio": spread(wall), "cpu_ratios": cpu}


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


def machine(others: float | None) -> dict[str, Any]:
    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), processor)
    return {"processor": processor or platform.machine(), "cores": os.cpu_count(),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "others_cores": others, "torch": torch.__version__, "python": platform.python_version(),
            "threads": torch.get_num_threads(), "autotricks": autotricks.__version__}


def measure(settings: tuple[Setting, ...]) -> dict[str, Any]:
    cpu, wall, busy = time.process_time(), time.perf_counter(), busy_seconds()
    rows = [row for setting in settings for row in rows_of(setting, take_turns(arms_of(setting), setting.rounds))]
    own, passed = time.process_time() - cpu, time.perf_counter() - wall
    others = (busy_seconds() - busy - own) / passed
    return {"machine": machine(None if math.isnan(others) else max(0.0, others)), "seconds": passed,
            "settings": [asdict(setting) for setting in settings], "target": TARGET, "quiet": others <= QUIET,
            "rows": rows}


def show(result: dict[str, Any]) -> None:
    here = result["machine"]
    others = here["others_cores"]
    print(f"autotricks {here['autotricks']}, torch {here['torch']}, Python {here['python']}, {here['threads']} thread "
          f"of {here['cores']} cores, {here['processor']}\n"
          f"{result['seconds']:.0f} s" + ("\n" if others is None else f"; others used {others:.2f} cores\n"))
    print(f"{'':23} {'':>10} {'':>9}  {'':10} {'':6} -- ratio by CPU time ---------------------  by wall")
    print(f"{'setting':9} {'arm':13} {'img/CPU-s':>10} {'img/s':>9}  {'against':10} {'rounds':6} "
          f"median  quartiles       95% interval    median")
    for row in result["rows"]:
        ratio = "{median:.3f}   {lower_quartile:.3f} - {upper_quartile:.3f}   {interval_low:.3f} - {interval_high:.3f}"
        print(f"{row['setting']:9} {row['arm']:13} {row['images_per_cpu_second']:10.1f} "
              f"{row['images_per_second']:9.1f}  {row['against']:10} {row['rounds']:6} "
              f"{ratio.format(**row['cpu_ratio'])}   {row['wall_ratio']['median']:.3f}")


def verdict(result: dict[str, Any], anyway: bool) -> int:
    """Say whether the target is reached; return the exit code."""
    others = result["machine"]["others_cores"]
    if not result["quiet"]:
        used = "an unknown number of" if others is None else f"{others:.2f}"
        print(f"\nNo conclusion: other processes used {used} cores; at most {QUIET} are allowed. Stop them and run "
              f"this again. {'Here is what it would say:' if anyway else 'With --anyway it says more.'}")
        if not anyway:
            return 3
    missed = False
    for row in result["rows"]:
        if (row["arm"], row["against"]) == PAIRS[0] and row["setting"] != "tricks":
            ratio, reached = row["cpu_ratio"], row["cpu_ratio"]["median"] >= TARGET
            missed |= not reached
            print(f"{row['setting']}: the target of {TARGET} is {'reached' if reached else 'missed'}: "
                  f"{ratio['median']:.3f}, between {ratio['interval_low']:.3f} and {ratio['interval_high']:.3f}.")
    return 1 if missed and not anyway else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the trainer against a plain PyTorch loop.")
    parser.add_argument("--longer", type=float, default=1.0, metavar="FACTOR", help="times the usual rounds")
    parser.add_argument("--settings", nargs="+", choices=[one.name for one in SETTINGS], help="which of them (all)")
    parser.add_argument("--quick", action="store_true", help="a few seconds to see that it works; concludes nothing")
    parser.add_argument("--anyway", action="store_true", help="show figures and end with 0 on a busy machine too")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    wanted = given.settings or [one.name for one in SETTINGS]
    result = measure(tuple(replace(one, rounds=math.ceil(one.rounds * given.longer))
                           for one in (QUICK if given.quick else SETTINGS) if one.name in wanted))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)
    return 0 if given.quick else verdict(result, given.anyway)


if __name__ == "__main__":
    sys.exit(main())
