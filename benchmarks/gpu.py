"""What the trainer makes of a GPU. Where there is none it says so in one line.

cifar: ResNet-32 at 32x32, batches of 512 and 1024, data on the device. The trainer with crop and flip, in bf16 NHWC and
    compiled, against an eager plain loop in float32 without augmentation (3x asked for) and against the same loop in
    bf16 NHWC. Beside it load, crop, flip and normalize alone, as a share of the trainer's step.
imagenet: ResNet-50 at 224x224, bf16 NHWC, compiled, against the same step on one batch that is ready; and the share of
    the bytes floor: the images a second at which the memory moves the 308 MB that an image takes, forward and
    backward with normalization and activation fused, at the speed of copying that is measured first.
row: one row of CIFAR-10-LT, imbalance 100: 12,406 images, ResNet-32, 200 epochs of batches of 128, validation on 10,000
    images after each, from the first line to the last. The images are noise; that costs the same.
side by side: 1, 2, 4 and 8 such trials as processes of their own, eager bf16; images a second of all together.
waits: no step synchronizes; see waits.py.

All by wall time, each slice ended by waiting for the device. It needs torch, torchvision, timm and this repository on
the path, nothing else. All of it may take a quarter of an hour, most of it compiling: `--pieces cifar imagenet` does
some. In a container that shows the load of its whole host, say --anyway.
`--device cpu --quick` trains small things to see that all of it runs.
"""
from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
import waits
from machine import Arm, Row, Target, compared, conclude, one_thread, parser, ratio_row, spread, take_turns
from peers import fused_sgd
from torch import Tensor, nn
from trainer import Setting, Unevaluated, fresh_model, random_images, trainer_arm

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.run import Runtime
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trainer.pipeline import pipeline
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make, plan_of

FUSED_BYTES = 308e6     # of ResNet-50 at 224 in bf16, an image, forward and backward
TOGETHER = (1, 2, 4, 8)
WALL = 1
MOVING: dict[str, dict[str, Any]] = {"crop": {}, "flip": {}}
CIFAR = tuple(Setting(f"batch {size}", "resnet32", (3, 32, 32), size, 20 * size, 9) for size in (512, 1024))
IMAGENET = Setting("resnet50", "timm:resnet50", (3, 224, 224), 256, 2048, 7)
SMALL = Setting("small", "resnet8", (3, 32, 32), 32, 64, 2)

Step = Callable[[Tensor, Tensor], Tensor]


def fast(device: str) -> dict[str, dict[str, Any]]:
    """Return the tricks that make steps fast; compiling for a CPU takes longer than a first look is worth."""
    return {"bf16": {}, "channels_last": {}, **({"torch_compile": {}} if device != "cpu" else {})}


def ended(arm: Arm, device: str) -> Arm:
    """Return the arm with the device waited for at its end."""
    def waited() -> None:
        arm()
        if device != "cpu":
            torch.cuda.synchronize()
    return waited


def step_of(setting: Setting, device: str, half: bool, compiled: bool = False) -> Step:
    """Return a training step written by hand, which returns the loss unread."""
    layout = torch.channels_last if half else torch.contiguous_format
    model = fresh_model(setting).to(device, memory_format=layout)
    optimizer = fused_sgd(model)
    forward: nn.Module = torch.compile(model) if compiled else model  # type: ignore[assignment]

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            logits = forward(images.contiguous(memory_format=layout))
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def loop_arm(setting: Setting, dataset: Dataset, device: str, half: bool) -> Arm:
    """Return an epoch of a plain loop over images on the device; the loss is read once."""
    step, data = step_of(setting, device, half), dataset.to(device)
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (dataset.mean, dataset.std))

    def epoch() -> None:
        total = torch.zeros((), device=device)
        for rows in torch.randperm(setting.images, device=device).split(setting.batch_size):
            total += step((data.train.images[rows].float() / 255 - mean) / std, data.train.targets.single[rows])
        float(total)
    return epoch


def moving_arm(setting: Setting, dataset: Dataset, device: str) -> Arm:
    """Return an epoch of load, crop, flip and normalize, without training."""
    bundle = Bundle(tuple(make(name, values) for name, values in MOVING.items()), setting.model, 1, setting.batch_size)
    plan, runtime = plan_of(bundle, CLASSIFICATION), Runtime(channels_last=True)
    trainer = Unevaluated(plan, fresh_model(setting), dataset, device, runtime)
    run, calls = trainer.run, pipeline(trainer.plan.phases[0], trainer.run)

    def epoch() -> None:
        for rows in torch.randperm(setting.images, device=device).split(setting.batch_size):
            raw = Batch(calls.load(rows), run.targets[rows], rows)
            images = (calls.augment(raw).images - run.mean) / run.std
            images.contiguous(memory_format=torch.channels_last)
    return epoch


def cifar(setting: Setting, device: str) -> list[Row]:
    """Return the trainer against eager loops, and the share of augmentation."""
    dataset = random_images(setting)
    arms = {"trainer": trainer_arm(setting, dataset, {**MOVING, **fast(device)}, device=device),
            "eager fp32": loop_arm(setting, dataset, device, False),
            "eager bf16 NHWC": loop_arm(setting, dataset, device, True),
            "augmentation": moving_arm(setting, dataset, device)}
    seconds = take_turns({name: ended(arm, device) for name, arm in arms.items()}, setting.rounds)
    share = compared(seconds, "trainer", "augmentation", WALL)
    return [ratio_row(setting.name, seconds, ("trainer", "eager fp32"), Target(least=3.0), setting.images, WALL),
            ratio_row(setting.name, seconds, ("trainer", "eager bf16 NHWC"), None, setting.images, WALL),
            Row(setting.name, "augmentation's share of the trainer's time", share, "x", Target(most=0.05))]


def copied(device: str, quick: bool) -> float:
    """Return the bytes a second, read and written, of copying on the device."""
    source = torch.empty(2**24 if quick else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        for _ in range(20):
            target.copy_(source)
    seconds = take_turns({"copy": ended(copy, device)}, 5)["copy"]
    return 20 * 2 * len(source) / min(wall for _, wall in seconds)


def imagenet(setting: Setting, device: str, quick: bool) -> list[Row]:
    """Return the trainer against a batch that is ready, and its share of the bytes floor."""
    dataset, moved = random_images(setting), copied(device, quick)
    step, data = step_of(setting, device, True, compiled=device != "cpu"), dataset.to(device).train
    images = (data.images[:setting.batch_size].float() / 255).contiguous(memory_format=torch.channels_last)
    labels = data.targets.single[:setting.batch_size]

    def ready() -> None:
        for _ in range(setting.images // setting.batch_size):
            step(images, labels)
    arms = {"trainer": trainer_arm(setting, dataset, {**MOVING, **fast(device)}, device=device), "ready batch": ready}
    seconds = take_turns({name: ended(arm, device) for name, arm in arms.items()}, setting.rounds)
    floor = moved / FUSED_BYTES
    share = spread(setting.images / wall / floor for _, wall in seconds["trainer"])
    return [ratio_row(setting.name, seconds, ("trainer", "ready batch"), Target(least=0.95), setting.images, WALL),
            Row(setting.name, "share of the bytes floor", share, "x", Target(least=0.45),
                f"copying {moved / 1e9:,.0f} GB/s; the floor is {floor:,.0f} images a second")]


def long_tail(quick: bool) -> Dataset:
    """Return noise with the class sizes of CIFAR-10-LT at imbalance 100, and its validation split's 10,000."""
    shrink = 100 if quick else 1
    sizes = torch.tensor([int(5000 * 100 ** (-label / 9)) // shrink for label in range(10)]).clamp(min=1)
    labels = torch.repeat_interleave(torch.arange(10), sizes)
    shown = torch.arange(10).repeat(1000 // shrink)
    train, validation = (Split.plain(torch.randint(0, 256, (len(each), 3, 32, 32), dtype=torch.uint8), each)
                         for each in (labels, shown))
    return Dataset(train, validation, None, tuple("abcdefghij"), (0.5,) * 3, (0.25,) * 3, "noise", "noise",
                   CLASSIFICATION)


def row(device: str, quick: bool) -> list[Row]:
    """Return how long one row of the table takes, from nothing to the last figure, compiling included."""
    wanted = {"sgd": {"lr": 0.1, "weight_decay": 2e-4}, **MOVING, "step": {}, "warmup": {}, **fast(device)}
    uses = tuple(make(name, values) for name, values in wanted.items())
    bundle = Bundle(uses, "resnet8" if quick else "resnet32", 2 if quick else 200, 128)
    result = run_trial(bundle, long_tail(quick), device=device)
    return [Row("CIFAR-10-LT", f"one row, {bundle.epochs} epochs", spread([result.seconds]), "s", Target(most=60),
                f"{result.end.value} after {result.epochs:g} epochs")]


def beside(device: str, quick: bool, start: Any) -> float:
    """Train a trial's share in this process once all are ready; return the seconds it took."""
    one_thread()
    setting = SMALL if quick else replace(CIFAR[0], batch_size=128, images=12_800)
    arm = ended(trainer_arm(setting, random_images(setting), {**MOVING, "bf16": {}, "channels_last": {}},
                            device=device), device)
    arm()
    start.wait()
    begun = time.perf_counter()
    for _ in range(2 if quick else 5):
        arm()
    return time.perf_counter() - begun


def _beside(device: str, quick: bool, start: Any, answers: Any) -> None:
    answers.put(beside(device, quick, start))


def side_by_side(device: str, quick: bool) -> list[Row]:
    """Return the throughput of some trials on one GPU, as a multiple of one alone."""
    context, speeds = multiprocessing.get_context("spawn"), dict[int, float]()
    for count in TOGETHER[:2] if quick else TOGETHER:
        start, answers = context.Barrier(count, timeout=120), context.SimpleQueue()
        crew = [context.Process(target=_beside, args=(device, quick, start, answers)) for _ in range(count)]
        for process in crew:
            process.start()
        for process in crew:
            process.join()
        if any(process.exitcode for process in crew):
            return [Row("side by side", f"{count} trials", None, note="a process failed; its message is above")]
        speeds[count] = count / max(answers.get() for _ in crew)
    return [Row("side by side", f"{count} trials / 1", spread([speed / speeds[1]])) for count, speed in speeds.items()]


def measure(quick: bool, device: str = "cuda", wanted: tuple[str, ...] = ()) -> list[Row]:
    """Return every row, or those of the wanted pieces; a piece that fails is one line, as the rest need not be lost."""
    if device != "cpu" and not torch.cuda.is_available():
        return [Row("", "GPU", None, note="there is none here")]
    small = {"images": SMALL.images, "batch_size": SMALL.batch_size, "rounds": 2, "model": "resnet8"}
    settings = [replace(one, **small) if quick else one for one in CIFAR]
    large = replace(IMAGENET, **{**small, "model": "timm:resnet18"}, image_shape=(3, 64, 64)) if quick else IMAGENET
    pieces: dict[str, Callable[[], list[Row]]] = {
        **{f"cifar {one.name}": partial(cifar, one, device) for one in settings},
        "imagenet": partial(imagenet, large, device, quick), "row": partial(row, device, quick),
        "side by side": partial(side_by_side, device, quick), "waits": partial(waits.measure, quick, device)}
    rows = []
    for name, piece in pieces.items():
        if wanted and name.split()[0] not in wanted:
            continue
        try:
            rows += piece()
        except (RuntimeError, ImportError) as error:
            rows.append(Row(name, "failed", None, note=f"{type(error).__name__}: {str(error).splitlines()[0]}"))
    return rows


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    words.add_argument("--pieces", nargs="+", default=(), choices=["cifar", "imagenet", "row", "side", "waits"])
    given = words.parse_args()
    return conclude({"gpu": lambda quick: measure(quick, given.device, tuple(given.pieces))}, given)


if __name__ == "__main__":
    sys.exit(main())
