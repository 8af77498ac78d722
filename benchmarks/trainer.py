"""What the trainer costs beside the step alone, and what it is worth beside other ways to train.

Every arm trains the same number of images with the same model, batch size, layout and precision, one arm after another
in one process on one thread, in slices of one epoch, so that whatever else the machine does falls on all of them. A
figure is the images per CPU second of one arm over those of another in the same round.

Arms:
    bare step: forward, cross-entropy, backward, fused SGD on one batch that is ready: no data, no figures. The ceiling.
    bare step again: a second one; how far it is from 1 is what this machine cannot tell apart.
    trainer: `Trainer.epochs()` with everything an epoch does but its evaluation, which no other arm does either:
        sampling, phases, learning rate, batch, step, the sum of losses, reading it, history.
    trainer + crop + flip: the same with the augmentation that the peers have.
    tricks: crop, flip, mixup, label smoothing, class-balanced sampling and EMA; the ratio is what they all cost.
    DataLoader + v2, Lightning, timm: see peers.py.
"""
from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from machine import Arm, Row, Seconds, Target, compared, conclude, parser, ratio_row, take_turns
from peers import SGD, fused_sgd, peers
from torch import nn

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.run import DEFAULT_RUNTIME, Runtime
from autotricks.models import build
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trainer import Trainer
from autotricks.tricks.catalog import make, plan_of

CLASSES = 10
AHEAD = Target(least=1.0)
MOVED = "trainer + crop + flip"
TARGETS: dict[tuple[str, str], dict[str, Target]] = {
    ("trainer", "bare step"): {"digits": Target(least=0.90), "resnet20": Target(least=0.95),
                               "resnet32": Target(least=0.95)},
    ("tricks", "bare step"): dict.fromkeys(("digits", "resnet20", "resnet32"), Target(least=0.85)),
    (MOVED, "DataLoader + v2"): {"digits": Target(least=4.0), "resnet8": Target(least=1.4),
                                 "resnet20": AHEAD, "resnet32": Target(least=1.03)},
    (MOVED, "Lightning"): {"digits": Target(least=6.0), "resnet8": AHEAD, "resnet20": AHEAD, "resnet32": AHEAD},
    (MOVED, "timm"): dict.fromkeys(("digits", "resnet8", "resnet20", "resnet32"), AHEAD),
    ("bare step again", "bare step"): {}}


@dataclass(frozen=True)
class Setting:
    """What is trained: `images` is a slice, a multiple of the batch size; each arm has `rounds` of them."""

    name: str
    model: str
    image_shape: tuple[int, int, int]
    batch_size: int
    images: int
    rounds: int
    padding: int = 4


SETTINGS = (Setting("digits", "resnet8", (1, 8, 8), 64, 640, 25, padding=1),
            Setting("resnet8", "resnet8", (3, 32, 32), 128, 384, 13),
            Setting("resnet20", "resnet20", (3, 32, 32), 128, 256, 9),
            Setting("resnet32", "resnet32", (3, 32, 32), 128, 256, 7))


class Unevaluated(Trainer):
    """Train without looking at the validation split."""

    def evaluate(self) -> dict[str, float]:
        """Return no figures."""
        return {}


def random_images(setting: Setting) -> Dataset:
    """Return a data set of noise whose classes are alike in size."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (setting.images, *setting.image_shape), generator=generator, dtype=torch.uint8)
    train = Split.plain(images, torch.arange(setting.images) % CLASSES)
    channels = setting.image_shape[0]
    return Dataset(train, train.take(torch.arange(1)), None, tuple("abcdefghij"), (0.5,) * channels,
                   (0.25,) * channels, "random", "random", CLASSIFICATION)


def fresh_model(setting: Setting) -> nn.Module:
    torch.manual_seed(0)
    return build(setting.model, CLASSES, setting.image_shape[0])


def trainer_arm(setting: Setting, dataset: Dataset, tricks: dict[str, dict[str, Any]],
                runtime: Runtime = DEFAULT_RUNTIME, device: str = "cpu") -> Arm:
    uses = tuple(make(name, values) for name, values in {"sgd": SGD, **tricks}.items())
    bundle = Bundle(uses, setting.model, epochs=10**6, batch_size=setting.batch_size)
    epochs = Unevaluated(plan_of(bundle, CLASSIFICATION), fresh_model(setting), dataset, device, runtime).epochs()
    return lambda: next(epochs)


def bare_arm(setting: Setting, dataset: Dataset) -> Arm:
    model, labels = fresh_model(setting), dataset.train.labels[:setting.batch_size]
    images, optimizer = (dataset.train.images[:setting.batch_size].float() / 255 - 0.5) / 0.25, fused_sgd(model)

    def trained() -> None:
        for _ in range(setting.images // setting.batch_size):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return trained


def arms_of(setting: Setting) -> dict[str, Arm | None]:
    """Return the arms by name, None for a peer that is not installed."""
    dataset = random_images(setting)
    moving: dict[str, dict[str, Any]] = {"crop": {"padding": setting.padding}, "flip": {}}
    tricks = {**moving, "mixup": {}, "label_smoothing": {}, "class_balanced": {}, "ema": {}}
    others = peers(lambda: fresh_model(setting), (dataset.train.images, dataset.train.labels), setting.batch_size,
                   setting.padding, (dataset.mean, dataset.std))
    return {"bare step": bare_arm(setting, dataset), "trainer": trainer_arm(setting, dataset, {}),
            MOVED: trainer_arm(setting, dataset, moving), "tricks": trainer_arm(setting, dataset, tricks),
            **dict(others), "bare step again": bare_arm(setting, dataset)}


def rows_of(setting: Setting, seconds: dict[str, list[Seconds]]) -> list[Row]:
    """Return a row for each pair, with what the step alone would leave; one line where an arm is missing."""
    rows = []
    for pair, targets in TARGETS.items():
        if pair[1] not in seconds:
            rows.append(Row(setting.name, " / ".join(pair), None, note="not installed"))
            continue
        row = ratio_row(setting.name, seconds, pair, targets.get(setting.name), setting.images)
        if pair[0] == MOVED:
            most = compared(seconds, "bare step", pair[1]).median
            row = replace(row, note=f"{row.note}; the bare step: {most:.2f}x", details={**row.details, "bare": most})
        rows.append(row)
    return rows


def measure(quick: bool, wanted: tuple[Setting, ...] = SETTINGS) -> list[Row]:
    """Return the ratios of all pairs in each setting."""
    rows = []
    for one in wanted:
        setting = replace(one, images=one.batch_size, rounds=2) if quick else one
        arms = {name: arm for name, arm in arms_of(setting).items() if arm}
        rows += rows_of(setting, take_turns(arms, setting.rounds))
    return rows


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--settings", nargs="+", choices=[one.name for one in SETTINGS], help="which of them (all)")
    words.add_argument("--longer", type=float, default=1.0, metavar="FACTOR", help="times the usual rounds")
    given = words.parse_args()
    wanted = tuple(replace(one, rounds=max(2, round(one.rounds * given.longer))) for one in SETTINGS
                   if one.name in (given.settings or one.name))
    return conclude({"trainer": lambda quick: measure(quick, wanted)}, given)


if __name__ == "__main__":
    sys.exit(main())
