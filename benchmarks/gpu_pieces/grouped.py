"""Many small trainings at once as one grouped model: whether it is worth building.

Eight copies of a model, each with weights and a batch of its own. `stacked` trains them as one, their weights stacked
and the model called by `torch.func.vmap`, by which eight convolutions become one in groups. Set against eight processes
on one GPU, and against eight models stepped one after another in one process. All are bare steps in float32 on batches
that are ready, with SGD; `graph` is the step as a CUDA graph. It is worth building if it is at least 1.5 times as fast
as the better of the others. bf16 is left out: autocast does not reach into `vmap`, and batch norm, where its input is
cast by hand, does not take weights of another type there.
"""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from machine import Arm, Row, SeedStatistics, Target, spread
from peers import SGD, fused_sgd
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from trainer import Setting, fresh_model

from .side_by_side import STARTING, ready, train
from .speed import collected, graphed, measured, ratios
from .told import Told
from .worker import Worker

COPIES = 8
SETTINGS = (Setting("resnet8, 32 px", "resnet8", (3, 32, 32), 128, 128 * COPIES * 10, 5),
            Setting("resnet32, 32 px", "resnet32", (3, 32, 32), 128, 128 * COPIES * 5, 5))
SMALL = replace(SETTINGS[0], batch_size=4, images=4 * COPIES, rounds=2)
WORTH = Target(least=1.5)

Step = Callable[[], object]


def models(setting: Setting, device: str, count: int = COPIES) -> list[nn.Module]:
    """Return copies of a model that differ in their weights."""
    made = [copy.deepcopy(fresh_model(setting)) for _ in range(count)]
    for seed, model in enumerate(made):
        torch.manual_seed(seed)
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return [model.to(device) for model in made]


def batches(setting: Setting, device: str, count: int = COPIES) -> tuple[Tensor, Tensor]:
    """Return a batch of each copy: images [copies, B, D, H, W] and labels [copies, B]."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(count, setting.batch_size, *setting.image_shape, generator=draw)
    labels = torch.randint(0, 10, (count, setting.batch_size), generator=draw)
    return images.to(device), labels.to(device)


def single_step(model: nn.Module, images: Tensor, labels: Tensor) -> Step:
    """Return a step of one model."""
    optimizer = fused_sgd(model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return step


def in_turn(steps: list[Step]) -> Step:
    """Return a step of each, one after another."""
    def step() -> None:
        for one in steps:
            one()
    return step


def stacked_step(copies: list[nn.Module], images: Tensor, labels: Tensor) -> tuple[Step, dict[str, Tensor]]:
    """Return a step of all copies as one model, and their stacked weights and buffers, which it changes.

    The sum of their losses is what is differentiated: a weight of one copy has no part in the loss of another.
    """
    weights, buffers = stack_module_state(copies)
    skeleton = copy.deepcopy(copies[0]).to("meta")
    optimizer = torch.optim.SGD(list(weights.values()), **SGD, fused=True)

    def logits_of(weights: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        logits: Tensor = functional_call(skeleton, (weights, buffers), (images,))
        return logits
    forward = vmap(logits_of, randomness="different")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = forward(weights, buffers, images)
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        losses.mean(1).sum().backward()
        optimizer.step()
    return step, {**weights, **buffers}


def arms_of(setting: Setting, device: str) -> dict[str, Callable[[], Arm]]:
    """Return what trains all copies in one process."""
    def repeated(step: Step) -> Arm:
        def steps() -> None:
            for _ in range(setting.images // (COPIES * setting.batch_size)):
                step()
        return steps

    def turns() -> Step:
        images, labels = batches(setting, device)
        return in_turn([single_step(model, images[place], labels[place])
                        for place, model in enumerate(models(setting, device))])

    def stacked() -> Step:
        return stacked_step(models(setting, device), *batches(setting, device))[0]
    return {"one after another": lambda: repeated(turns()), "one after another graph": lambda: repeated(
        graphed(turns())), "stacked": lambda: repeated(stacked()), "stacked graph": lambda: repeated(
        graphed(stacked()))}


def prepare(device: str, setting: Setting) -> None:
    """Make a step of one copy in this process and take it."""
    images, labels = batches(setting, device, 1)
    ready[:] = [single_step(models(setting, device, 1)[0], images[0], labels[0])]
    train(device, 3)


def processes(told: Told, crew: list[Worker], setting: Setting) -> SeedStatistics:
    """Return the images a second of a process for each copy, together."""
    for worker in crew:
        worker.begin(prepare, told.device, setting)
    for worker in crew:
        worker.answer(min(STARTING, told.left))
    steps = max(1, setting.images // (COPIES * setting.batch_size))

    def once() -> float:
        for worker in crew:
            worker.begin(train, told.device, steps)
        times = [worker.answer(told.left) for worker in crew]
        return len(crew) * steps * setting.batch_size / (max(end for _, end in times) - min(one for one, _ in times))
    return spread(once() for _ in range(setting.rounds))


def measure(told: Told) -> Iterator[Row]:
    """Yield each way for each model, and what the grouped model is worth."""
    settings = (SMALL,) if told.quick else SETTINGS
    crew = [Worker() for _ in range(2 if told.quick else COPIES)]   # before this process uses the GPU
    for setting in settings:
        speeds = dict[str, SeedStatistics]()
        titled = replace(setting, name=f"{setting.name}, {COPIES} copies")
        yield from collected(measured(told, titled, arms_of(setting, told.device)), speeds)
        speeds["processes"] = processes(told, crew, setting)
        yield Row(titled.name, "processes", speeds["processes"], "images/s", note=f"{len(crew)} of them")
        yield from verdict(titled.name, speeds, told.quick)
    for worker in crew:
        worker.end()


def verdict(setting: str, speeds: dict[str, SeedStatistics], quick: bool) -> Iterator[Row]:
    """Yield how many times as fast the better grouped model is as the best of the others."""
    grouped = [name for name in ("stacked", "stacked graph") if name in speeds]
    others = [name for name in ("one after another", "one after another graph", "processes") if name in speeds]
    if grouped and others:
        pair = tuple(max(names, key=lambda name: speeds[name].median) for names in (grouped, others))
        yield from ratios(setting, speeds, {(pair[0], pair[1]): None if quick else WORTH})
