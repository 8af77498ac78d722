"""What precision and memory layout are worth to the trainer, and whether the precision costs accuracy.

Speed: our trainer, the same model and images, as fp32 NCHW, fp32 NHWC and bf16 NHWC, in turn on one thread. Where the
processor has bf16 matrix units, bf16 is to be at least twice as fast on ResNet-32.

Accuracy, with --accuracy --data FILE.npz (x_train, y_train as CIFAR-10 has them): ResNet-20 with crop, flip and a
cosine on a subset, five seeds in each precision. The difference of the mean final accuracies is to be within one
standard deviation of a seed's (the root of the mean of both variances).
"""
from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from machine import Row, Target, conclude, parser, ratio_row, spread, take_turns
from trainer import SETTINGS, Setting, random_images, trainer_arm

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.run import DEFAULT_RUNTIME, Runtime
from autotricks.data import Settings, load
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make

RUNTIMES = {"fp32 NCHW": DEFAULT_RUNTIME, "fp32 NHWC": Runtime(channels_last=True),
            "bf16 NHWC": Runtime(channels_last=True, autocast=torch.bfloat16)}
MODELS = ("resnet8", "resnet20", "resnet32")
SEEDS, TRAIN, VALIDATION, EPOCHS = 5, 2000, 1000, 8


def matrix_units() -> bool:
    """Return whether the processor multiplies bf16 matrices in hardware of their own (AMX); only Linux tells."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "amx_bf16" in facts.read_text(encoding="utf-8")


def target(arm: str, model: str) -> Target | None:
    """Return what an arm is to reach against fp32 NCHW: NHWC is the default at this size, bf16 a trick."""
    if arm == "fp32 NHWC":
        return Target(least=1.0)
    return Target(least=2.0) if model == "resnet32" and matrix_units() else None


def speeds(setting: Setting) -> list[Row]:
    """Return how fast each way is beside fp32 NCHW."""
    dataset = random_images(setting)
    arms = {name: trainer_arm(setting, dataset, {}, runtime) for name, runtime in RUNTIMES.items()}
    seconds, (plain, *others) = take_turns(arms, setting.rounds), arms
    return [ratio_row(setting.name, seconds, (arm, plain), target(arm, setting.name), setting.images)
            for arm in others]


def measure(quick: bool) -> list[Row]:
    """Return the speeds of every model."""
    wanted = [one for one in SETTINGS if one.name in MODELS]
    return [row for one in wanted for row in speeds(replace(one, images=one.batch_size, rounds=2) if quick else one)]


def subset(path: Path, quick: bool) -> Dataset:
    """Return some images of a file, always the same, as many as five seeds take minutes for."""
    whole, share = load(Settings(f"npz:{path}")).dataset, 20 if quick else 1

    def some(split: Split, count: int) -> Split:
        rows = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:count // share]
        return split.take(rows)
    return replace(whole, train=some(whole.train, TRAIN), validation=some(whole.validation, VALIDATION), test=None)


def accuracies(dataset: Dataset, tricks: tuple[str, ...], quick: bool) -> list[float]:
    """Return the final accuracy of each seed, in percent."""
    uses = (make("sgd", {"lr": 0.1, "weight_decay": 5e-4}), *(make(name, {}) for name in ("crop", "flip", "cosine")),
            *(make(name, {}) for name in tricks))
    bundles = [Bundle(uses, "resnet20", 1 if quick else EPOCHS, 128, seed) for seed in range(2 if quick else SEEDS)]
    return [100 * run_trial(bundle, dataset).metrics["val/accuracy"] for bundle in bundles]


def accuracy(path: Path) -> Callable[[bool], list[Row]]:
    """Return the part that compares final accuracies on the images of a file."""
    def measured(quick: bool) -> list[Row]:
        dataset = subset(path, quick)
        plain, half = accuracies(dataset, (), quick), accuracies(dataset, ("bf16",), quick)
        means = statistics.mean(plain), statistics.mean(half)
        one_image = 100 / len(dataset.validation)   # no finer can they be told apart
        deviation = max(one_image, ((statistics.variance(plain) + statistics.variance(half)) / 2) ** 0.5)
        note = f"fp32 {means[0]:.2f}%, bf16 {means[1]:.2f}%, {len(plain)} seeds each"
        return [Row("resnet20", "|bf16 - fp32| / deviation of a seed", spread([abs(means[1] - means[0]) / deviation]),
                    "sd", Target(most=1.0), note, {"fp32": plain, "bf16": half})]
    return measured


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--accuracy", action="store_true", help="compare final accuracies instead of speeds; minutes")
    words.add_argument("--data", type=Path, metavar="FILE.npz", help="images for --accuracy")
    given: argparse.Namespace = words.parse_args()
    if given.accuracy and not given.data:
        words.error("--accuracy needs --data FILE.npz")
    return conclude({"accuracy": accuracy(given.data)} if given.accuracy else {"precision": measure}, given)


if __name__ == "__main__":
    sys.exit(main())
