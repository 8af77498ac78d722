"""The trainer beside a bare step, in each precision and layout, compiled, and as a CUDA graph; images a second.

Bare steps: forward, cross-entropy, backward and fused SGD on one batch that is ready. `graph` is such a step captured
with `torch.cuda.graph` and replayed, so that no time goes into launching kernels. The trainer loads, crops, flips and
normalizes besides, with images on the device. `plain loop` is what most people write: float32, eager, no augmentation.

The share of the bound is that of the operations which the device does a second when it multiplies matrices in the
same precision, three forward passes counted a step. ResNet-50 has a bound by memory too: 308 MB an image, forward and
backward with normalization and activation fused.
"""
from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from machine import Arm, Row, SeedStatistics, Target, spread
from peers import fused_sgd
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from trainer import Setting, Unevaluated, fresh_model, random_images, trainer_arm

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset
from autotricks.core.run import Runtime
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.testing import striped_scenes
from autotricks.trainer.pipeline import pipeline
from autotricks.trial import prepare
from autotricks.tricks.catalog import make, plan_of

from .told import Told, speed

FUSED_BYTES = 308e6     # of ResNet-50 at 224 in bf16, an image, forward and backward
COMPILING = 20.0        # seconds that must be left for an arm that is compiled first
MOVING: dict[str, dict[str, Any]] = {"crop": {}, "flip": {}}
FAST: dict[str, dict[str, Any]] = {"bf16": {}, "channels_last": {}}
COMPILED: dict[str, dict[str, Any]] = {**FAST, "torch_compile": {}}
RESNET32 = Setting("resnet32, 32 px", "resnet32", (3, 32, 32), 512, 10_240, 7)
RESNET50 = Setting("resnet50, 224 px", "timm:resnet50", (3, 224, 224), 256, 1536, 3)
VIT_S = Setting("ViT-S, 224 px", "timm:vit_small_patch16_224", (3, 224, 224), 256, 1536, 3)
READY: dict[tuple[str, str], Target | None] = {
    ("trainer bf16 NHWC", "bare bf16 NHWC"): Target(least=0.95),
    ("trainer bf16 NHWC compiled", "bare bf16 NHWC compiled"): Target(least=0.95)}

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """How a bare step is carried out."""

    half: bool = False
    nhwc: bool = False
    compiled: bool = False
    graph: bool = False


BARE = {"bare bf16 NHWC": Way(half=True, nhwc=True), "bare bf16 NHWC graph": Way(half=True, nhwc=True, graph=True)}
BARE_COMPILED = {"bare bf16 NHWC compiled": Way(half=True, nhwc=True, compiled=True),
                 "bare bf16 NHWC compiled graph": Way(half=True, nhwc=True, compiled=True, graph=True)}
BARE_FP32 = {"bare fp32 NHWC": Way(nhwc=True), "bare fp32 NCHW": Way()}


def step_of(setting: Setting, device: str, way: Way) -> Step:
    """Return a training step written by hand, which returns the loss unread."""
    layout = torch.channels_last if way.nhwc else torch.contiguous_format
    model = fresh_model(setting).to(device, memory_format=layout)
    optimizer = fused_sgd(model)
    forward: nn.Module = torch.compile(model) if way.compiled else model  # type: ignore[assignment]

    def step(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=way.half):
            logits = forward(images.contiguous(memory_format=layout))
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()
    return step


def graphed(step: Callable[[], object]) -> Callable[[], object]:
    """Return the replay of a step that is captured as a CUDA graph, after three to warm up."""
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA alone has graphs")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def bare_arm(setting: Setting, dataset: Dataset, device: str, way: Way) -> Arm:
    """Return a slice of bare steps."""
    step, data = step_of(setting, device, way), dataset.train.take(torch.arange(setting.batch_size)).to(device)
    images = (data.images.float() / 255 - 0.5) / 0.25
    images = images.contiguous(memory_format=torch.channels_last if way.nhwc else torch.contiguous_format)
    once: Callable[[], object] = partial(step, images, data.targets.single)
    repeated = graphed(once) if way.graph else once

    def steps() -> None:
        for _ in range(setting.images // setting.batch_size):
            repeated()
    return steps


def loop_arm(setting: Setting, dataset: Dataset, device: str) -> Arm:
    """Return an epoch of a plain loop over images on the device; the loss is read once."""
    step, data = step_of(setting, device, Way()), dataset.to(device)
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


def operations(setting: Setting) -> float:
    """Return the floating-point operations of training on one image: three forward passes."""
    images = torch.zeros(1, *setting.image_shape, device="meta")
    with FlopCounterMode(display=False) as counter:
        fresh_model(setting).to("meta").eval()(images)
    return 3.0 * counter.get_total_flops()


def measured(told: Told, setting: Setting, arms: Mapping[str, Callable[[], Arm]],
             share: Callable[[str, float], str] = lambda name, speed: "") -> Iterator[Row]:
    """Yield the speed of each arm as soon as it is known; one that fails is a row with its traceback.

    Args:
        told: The device.
        setting: Images of a slice, and rounds.
        arms: Each with what makes it, so that only one is in memory.
        share: What to say of an arm's images a second.
    """
    for name, made in arms.items():
        if told.left < (COMPILING if "compiled" in name and not told.quick else 2.0):
            yield Row(setting.name, name, None, "images/s", note="not reached")
            continue
        try:
            figure = speed(told, made(), setting.images, setting.rounds)
        except Exception as error:
            yield Row(setting.name, name, None, "images/s", note=f"{type(error).__name__}: {_line(error)}",
                      details={} if "CUDA alone" in str(error) else {"traceback": traceback.format_exc()})
        else:
            yield Row(setting.name, name, figure, "images/s", note=share(name, figure.median))
        told.tidy()


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200]


def ratios(setting: str, speeds: Mapping[str, SeedStatistics],
           pairs: Mapping[tuple[str, str], Target | None]) -> Iterator[Row]:
    """Yield how many times as fast one arm is as another, where both are known."""
    for (arm, against), target in pairs.items():
        if arm in speeds and against in speeds:
            figure = spread([speeds[arm].median / speeds[against].median])
            yield Row(setting, f"{arm} / {against}", figure, "x", target, "of the medians")


def collected(rows: Iterator[Row], speeds: dict[str, SeedStatistics]) -> Iterator[Row]:
    """Yield rows on, and note their figures by what they are of."""
    for row in rows:
        if row.figure:
            speeds[row.what] = row.figure
        yield row


def raced(told: Told, setting: Setting, more: Mapping[str, Callable[[Dataset], Arm]],
          pairs: Mapping[tuple[str, str], Target | None], speeds: dict[str, SeedStatistics]) -> Iterator[Row]:
    """Yield other arms, bare steps and the trainer; in bf16 first, as compiling takes most of the time.

    Args:
        told: The device.
        setting: What is trained.
        more: Other arms, by name.
        pairs: Of arms that are set against each other, with what the ratio is to reach.
        speeds: Gets the images a second of each arm.
    """
    dataset, work, device = random_images(setting), operations(setting), told.device

    def share(name: str, images: float) -> str:
        rate = told.bounds.get("bf16" if "bf16" in name else "fp32")
        return f"{images * work / rate:.1%} of the bound by operations" if rate and name != "augmentation" else ""

    def bare(ways: Mapping[str, Way]) -> dict[str, Callable[[], Arm]]:
        return {name: partial(bare_arm, setting, dataset, device, way) for name, way in ways.items()}

    def trained(tricks: dict[str, dict[str, Any]]) -> Callable[[], Arm]:
        return partial(trainer_arm, setting, dataset, {**MOVING, **tricks}, device=device)
    arms = {**{name: partial(made, dataset) for name, made in more.items()}, "trainer bf16 NHWC": trained(FAST),
            **bare(BARE)}
    if not told.quick:      # a CPU's compiler takes longer than a first look is worth
        arms |= {"trainer bf16 NHWC compiled": trained(COMPILED), **bare(BARE_COMPILED)}
    arms |= {"trainer fp32 NHWC": trained({"channels_last": {}}), **bare(BARE_FP32)}
    yield from collected(measured(told, setting, arms, share), speeds)
    always = {("trainer fp32 NHWC", "bare fp32 NHWC"): None, ("trainer bf16 NHWC", "bare bf16 NHWC"): None,
              ("bare bf16 NHWC graph", "bare bf16 NHWC"): None}
    yield from ratios(setting.name, speeds, {**always, **pairs})


def small(setting: Setting, told: Told, model: str) -> Setting:
    """Return the setting, or one that takes a second on a CPU."""
    shape = (3, 32, 32)
    return replace(setting, model=model, image_shape=shape, batch_size=8, images=8, rounds=2) if told.quick \
        else setting


def resnet32(told: Told) -> Iterator[Row]:
    """Yield ResNet-32 at 32 px, beside a plain loop, and the share of augmentation."""
    setting = small(RESNET32, told, "resnet8")
    more = {"plain loop": lambda dataset: loop_arm(setting, dataset, told.device),
            "augmentation": lambda dataset: moving_arm(setting, dataset, told.device)}
    fastest = "trainer bf16 NHWC" if told.quick else "trainer bf16 NHWC compiled"
    yield from raced(told, setting, more, {
        ("trainer bf16 NHWC", "plain loop"): None, (fastest, "plain loop"): Target(least=3.0),
        (fastest, "bare bf16 NHWC compiled"): None, ("augmentation", fastest): Target(least=20.0)}, {})


def resnet50(told: Told) -> Iterator[Row]:
    """Yield ResNet-50 at 224 px, beside a batch that is ready and the bound by memory."""
    setting = small(RESNET50, told, "timm:resnet18")
    speeds = dict[str, SeedStatistics]()
    yield from raced(told, setting, {}, READY, speeds)
    fastest = next((speeds[name] for name in ("trainer bf16 NHWC compiled", "trainer bf16 NHWC") if name in speeds),
                   None)
    if fastest and "copying" in told.bounds:
        floor = told.bounds["copying"] / FUSED_BYTES
        yield Row(setting.name, "share of the bound by memory", spread([fastest.median / floor]), "x",
                  Target(least=0.45), f"the bound is {floor:,.0f} images a second")


def vit_s(told: Told) -> Iterator[Row]:
    """Yield ViT-S at 224 px, beside a batch that is ready."""
    setting = small(VIT_S, told, "timm:vit_small_patch16_224?img_size=32&depth=1")
    yield from raced(told, setting, {}, READY, {})


def detector(told: Told) -> Iterator[Row]:
    """Yield FCOS on scenes: the trainer beside its own step on a batch that is ready, and evaluation."""
    images, batch, rounds = (8, 8, 2) if told.quick else (1024, 64, 5)
    setting = Setting("fcos:resnet8, 96 px", "fcos:resnet8", (3, 96, 96), batch, images, rounds)
    scenes = striped_scenes(count=images, size=96, channels=3)
    ways: dict[str, dict[str, dict[str, Any]]] = {
        "fp32": {}, "bf16 NHWC": FAST, **({} if told.quick else {"bf16 NHWC compiled": COMPILED})}

    def trainer(tricks: Mapping[str, dict[str, Any]]) -> Unevaluated:
        uses = tuple(make(name, values) for name, values in {"sgd": {"lr": 0.001}, "flip": {}, **tricks}.items())
        trained = prepare(Bundle(uses, setting.model, 10**6, batch), scenes, told.device, kind=Unevaluated)
        assert isinstance(trained, Unevaluated)
        return trained

    def trained(tricks: Mapping[str, dict[str, Any]]) -> Arm:
        epochs = trainer(tricks).epochs()
        return lambda: next(epochs)

    def ready(tricks: Mapping[str, dict[str, Any]]) -> Arm:
        one = trainer(tricks)
        one.enter(one.plan.phases[0])
        given = one.batch(next(one.rows(1, 0)))

        def steps() -> None:
            for _ in range(images // batch):
                one.pipeline.gradients(given)
                one.optimizer.step()
        return steps

    def evaluated() -> Arm:
        one = trainer({})
        return super(Unevaluated, one).evaluate
    arms: dict[str, Callable[[], Arm]] = {}
    for name, tricks in ways.items():
        arms |= {f"ready batch {name}": partial(ready, tricks), f"trainer {name}": partial(trained, tricks)}
    speeds = dict[str, SeedStatistics]()
    yield from collected(measured(told, setting, arms), speeds)
    yield from measured(told, replace(setting, images=len(scenes.validation)), {"evaluation": evaluated})
    yield from ratios(setting.name, speeds, {(f"trainer {name}", f"ready batch {name}"): None for name in ways})
