"""What a detector's epoch costs and what it is worth, beside a plain loop and torchvision's detectors.

    python benchmarks/detectors.py speed [--source SOURCE --size PIXELS]
    python benchmarks/detectors.py worth --source SOURCE [--size PIXELS] [--epochs N] [--seeds 0 1 2]

`speed` lets the arms take turns, an epoch with its evaluation each. `worth` trains each detector from scratch on the
same images for the same epochs, its learning rate the best of four by a seed of its own, and judges it on the
validation images. Results are kept a line each in `--out`, and what is there is not trained again.

Arms:
    ours: the trainer with AdamW, cosine and warm-up on `fcos:resnet8` (digits) or `fcos:resnet20`.
    ours, portfolio: the same model with the bundle that a search tries first, at the learning rate of four too.
    plain loop: the same model and losses, written by hand with torchvision's operations; validation is measured alike.
    torchvision FCOS, torchvision SSDlite: as the library has them, on timm's `test_resnet`.
"""
from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from machine import Arm, Target, compared, one_thread, take_turns
from torch import Tensor, nn
from torchvision.ops import batched_nms, generalized_box_iou_loss, sigmoid_focal_loss

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.dense import Dense
from autotricks.data.load import load
from autotricks.data.settings import Settings
from autotricks.functional.assignment import center_sampled, centerness
from autotricks.tasks import find
from autotricks.tasks.detection.average_precision import Comparison
from autotricks.tasks.detection.matching import Found, Truths
from autotricks.trainer import Trainer
from autotricks.tricks.catalog import make, plan_of
from autotricks.tuning.prior import SHIPPED, load as load_prior

BATCH = 8
BACKBONE = "test_resnet"
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
TUNING_SEED = 100
LEAST = 0.01        # score below which torchvision's detectors find nothing
Detector = Callable[[Tensor], list[dict[str, Tensor]]]


def model_name(dataset: Dataset) -> str:
    return "fcos:resnet8" if dataset.image_shape[1] <= 100 else "fcos:resnet20"


def factor(progress: float, warmup: float = 0.1) -> float:
    """Return the share of the learning rate: linear warm-up, then half a cosine."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def judged(detect: Detector, split: Split, classes: int) -> float:
    """Return the average precision of a detector on a split, in percent."""
    rows = []
    for images in split.images.split(64):
        for found in detect(images.float() / 255):
            order = found["scores"].argsort(descending=True)[:100]
            row = torch.zeros(100, 6)
            row[:len(order)] = torch.cat([found["boxes"][order], found["scores"][order, None],
                                          found["labels"][order, None].float()], 1)
            rows.append(row)
    measured = Comparison(Truths.of(split.targets), Found.of(torch.stack(rows)), classes).curves()
    return 100 * float(np.nanmean(measured.average))


class Ours:
    """The trainer, an epoch at a time.

    Args:
        dataset: Train and validation.
        epochs: Of the training.
        rate: Of AdamW.
        seed: Of everything.
        portfolio: Whether other tricks are those of the bundle that a search tries first.
    """

    def __init__(self, dataset: Dataset, epochs: int, rate: float, seed: int, portfolio: bool = False):
        self.dataset = dataset
        tricks: dict[str, dict[str, Any]] = {"cosine": {}, "warmup": {"epochs": epochs / 10}}
        if portfolio:
            first = load_prior(SHIPPED, boxes=True).portfolio[0]
            tricks = {use.trick.name: use.trick.values() for use in first.uses}
        uses = tuple(make(name, values) for name, values in {**tricks, "adamw": {"lr": rate}}.items())
        bundle = Bundle(uses, model_name(dataset), epochs=epochs, batch_size=BATCH, seed=seed)
        torch.manual_seed(seed)
        model = dataset.task.build(bundle.model, len(dataset.classes), dataset.image_shape)
        self.trainer = Trainer(plan_of(bundle, dataset.task, dataset.traits), model, dataset)

    def epoch(self) -> float:
        """Train an epoch and return the average precision on validation."""
        return 100 * self.trainer.train_epoch().values["val/average_precision"]


class Plain:
    """The same model in a loop that somebody would write by hand."""

    def __init__(self, dataset: Dataset, epochs: int, rate: float, seed: int):
        torch.manual_seed(seed)
        self.dataset = dataset
        self.model = dataset.task.build(model_name(dataset), len(dataset.classes), dataset.image_shape)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), rate, weight_decay=0.01)
        self.rate = rate
        self.mean = torch.tensor(dataset.mean).view(-1, 1, 1)
        self.std = torch.tensor(dataset.std).view(-1, 1, 1)
        self.steps = len(dataset.train) // BATCH
        self.total = epochs * self.steps
        self.step = 0

    def epoch(self) -> float:
        """Train an epoch and return the average precision on validation."""
        self.model.train()
        train = self.dataset.train
        for rows in torch.randperm(len(train)).split(BATCH)[:self.steps]:
            self.optimizer.param_groups[0]["lr"] = self.rate * factor(self.step / self.total)
            self.step += 1
            targets = train.targets[rows]
            said = Dense.of(self.model((train.images[rows] / 255 - self.mean) / self.std))
            places = center_sampled(targets, said.places[0], 1.5)
            there = places.shares > 0
            count = there.sum().clamp(min=1)
            wanted = F.one_hot(places.labels, len(self.dataset.classes)) * there.unsqueeze(2)
            middle = centerness(places.boxes, said.places[0, :, :2])[there]
            loss = sigmoid_focal_loss(said.logits, wanted.float(), reduction="sum") / count
            loss += F.binary_cross_entropy_with_logits(said.centerness[there], middle, reduction="sum") / count
            apart = generalized_box_iou_loss(said.boxes[there], places.boxes[there])
            loss += (apart * middle).sum() / middle.sum().clamp(min=1)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.model.eval()
        return judged(self.detect, self.dataset.validation, len(self.dataset.classes))

    @torch.inference_mode()
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return boxes, scores and labels of each image."""
        said = Dense.of(self.model((images - self.mean) / self.std))
        found = []
        for scores, boxes in zip(said.scores(), said.boxes, strict=True):
            best, order = scores.flatten().topk(300)
            labels = order % scores.shape[1]
            places = boxes[order // scores.shape[1]]
            kept = batched_nms(places, best, labels, 0.6)
            found.append({"boxes": places[kept], "scores": best[kept], "labels": labels[kept]})
        return found


class Maps(nn.Module):
    """A backbone of timm under torchvision's pyramid, as torchvision's detectors take it."""

    def __init__(self, channels: int, strides: tuple[int, ...], width: int | None):
        super().__init__()
        import timm
        from torchvision.ops import FeaturePyramidNetwork

        levels = timm.create_model(BACKBONE, features_only=True, in_chans=channels).feature_info
        places = [place for place, level in enumerate(levels) if level["reduction"] in strides]
        widths = [levels[place]["num_chs"] for place in places]
        self.body = timm.create_model(BACKBONE, features_only=True, in_chans=channels, out_indices=places)
        self.pyramid = FeaturePyramidNetwork(widths, width) if width else None
        self.widths = widths
        self.out_channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return maps by name."""
        maps = {str(number): level for number, level in enumerate(self.body(images))}
        return self.pyramid(maps) if self.pyramid else maps


class Torchvision:
    """A detector of torchvision, trained as its reference does but for AdamW with cosine and warm-up."""

    def __init__(self, dataset: Dataset, epochs: int, rate: float, seed: int, kind: str):
        torch.manual_seed(seed)
        self.dataset = dataset
        channels, height, width = dataset.image_shape
        small = height <= 100
        sizes = {"min_size": min(height, width), "max_size": max(height, width), "image_mean": dataset.mean,
                 "image_std": dataset.std, "detections_per_img": 100, "nms_thresh": 0.6, "score_thresh": LEAST}
        strides = (4, 8, 16) if small else (8, 16, 32)
        self.first = int(kind == "ssdlite")     # number of the first class: SSD's 0 is the background
        if kind == "fcos":
            from torchvision.models.detection import FCOS
            from torchvision.models.detection.anchor_utils import AnchorGenerator

            anchors = AnchorGenerator(tuple((stride,) for stride in strides), ((1.0,),) * len(strides))
            self.model = FCOS(Maps(channels, strides, 64), len(dataset.classes), anchor_generator=anchors, **sizes)
        else:
            from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
            from torchvision.models.detection.ssd import SSD
            from torchvision.models.detection.ssdlite import SSDLiteHead

            maps = Maps(channels, strides, None)
            anchors = DefaultBoxGenerator([[2, 3]] * len(strides), min_ratio=0.1, max_ratio=0.6)
            sizes.pop("min_size")
            sizes.pop("max_size")
            head = SSDLiteHead(maps.widths, anchors.num_anchors_per_location(), len(dataset.classes) + 1,
                               partial(nn.BatchNorm2d, eps=0.001, momentum=0.03))
            self.model = SSD(maps, anchors, (width, height), len(dataset.classes) + 1, head=head, **sizes)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), rate, weight_decay=0.01)
        self.rate = rate
        self.steps = len(dataset.train) // BATCH
        self.total = epochs * self.steps
        self.step = 0

    def epoch(self) -> float:
        """Train an epoch and return the average precision on validation."""
        self.model.train()
        train = self.dataset.train
        for rows in torch.randperm(len(train)).split(BATCH)[:self.steps]:
            self.optimizer.param_groups[0]["lr"] = self.rate * factor(self.step / self.total)
            self.step += 1
            loss = sum(self.model(list(train.images[rows] / 255), self._targets(rows)).values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.model.eval()
        return judged(self.detect, self.dataset.validation, len(self.dataset.classes))

    def _targets(self, rows: Tensor) -> list[dict[str, Tensor]]:
        targets = self.dataset.train.targets[rows]
        return [{"boxes": boxes[shares > 0], "labels": labels[shares > 0] + self.first}
                for labels, shares, boxes in zip(targets.labels, targets.shares, targets.boxes, strict=True)]

    @torch.inference_mode()
    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return boxes, scores and labels of each image."""
        return [{**found, "labels": found["labels"] - self.first} for found in self.model(list(images))]


ARMS: dict[str, Callable[..., Any]] = {
    "ours": Ours, "ours, portfolio": partial(Ours, portfolio=True), "plain loop": Plain,
    "torchvision FCOS": partial(Torchvision, kind="fcos"),
    "torchvision SSDlite": partial(Torchvision, kind="ssdlite")}


def speed(dataset: Dataset, given: argparse.Namespace) -> int:
    """Print how many times as fast our epoch is as each other, by the turns of one run."""
    arms: dict[str, Arm] = {}
    for name in given.arms:
        arms[name] = ARMS[name](dataset, 1000, 1e-3, 0).epoch
    seconds = take_turns(arms, given.rounds)
    for name in [name for name in arms if name != "ours"]:
        ratio = compared(seconds, "ours", name)
        least = Target(least=1.0)
        print(f"ours / {name}: {ratio.median:.2f}x ({ratio.low:.2f} to {ratio.high:.2f}), target {least}, "
              f"{'reached' if least.reached(ratio.median) else 'missed'}")
    for name, turns in seconds.items():
        print(f"{name}: {np.median([cpu for cpu, _ in turns]):.2f} CPU s an epoch with its evaluation")
    return 0


def trained(dataset: Dataset, name: str, epochs: int, rate: float, seed: int) -> dict[str, Any]:
    """Train a detector; return its average precision after each epoch, and the CPU seconds it took."""
    started = time.process_time()
    arm = ARMS[name](dataset, epochs, rate, seed)
    course = [round(arm.epoch(), 2) for _ in range(epochs)]
    return {"arm": name, "epochs": epochs, "rate": rate, "seed": seed, "course": course,
            "seconds": round(time.process_time() - started, 1)}


def worth(dataset: Dataset, given: argparse.Namespace) -> int:
    """Print the average precision of each detector after as many epochs, over seeds."""
    kept = Path(given.out)
    rows = list(_kept(kept, given))
    for name in given.arms:
        best = max(RATES, key=lambda rate: _row(rows, kept, dataset, given, name, rate, TUNING_SEED)["course"][-1])
        runs = [_row(rows, kept, dataset, given, name, best, seed) for seed in given.seeds]
        ends = [run["course"][-1] for run in runs]
        cost = np.mean([run["seconds"] for run in runs]) / given.epochs
        print(f"{name:20s} rate {best:g}: {np.mean(ends):.1f} ({', '.join(f'{end:.1f}' for end in ends)}), "
              f"{cost:.2f} CPU s an epoch", flush=True)
    return 0


def _kept(path: Path, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            if (row["source"], row["size"], row["epochs"]) == (given.source, given.size, given.epochs):
                yield row


def _row(rows: list[dict[str, Any]], kept: Path, dataset: Dataset, given: argparse.Namespace, name: str, rate: float,
         seed: int) -> dict[str, Any]:
    for row in rows:
        if (row["arm"], row["rate"], row["seed"]) == (name, rate, seed):
            return row
    row = {"source": given.source, "size": given.size, **trained(dataset, name, given.epochs, rate, seed)}
    rows.append(row)
    with kept.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return row


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["speed", "worth"])
    words.add_argument("--source", default="digit_scenes")
    words.add_argument("--size", type=int, nargs="+", help="pixels: one number, or height and width")
    words.add_argument("--epochs", type=int, default=8)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    words.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    words.add_argument("--out", default="detectors.jsonl")
    given = words.parse_args()
    one_thread()
    size = given.size[0] if given.size and len(given.size) == 1 else given.size and tuple(given.size)
    dataset = load(Settings(source=given.source, task=find("detection").name, size=size)).dataset
    return {"speed": speed, "worth": worth}[given.what](dataset, given)


if __name__ == "__main__":
    sys.exit(main())
