"""1, 2, 4 and 8 small trainings as processes of their own on one GPU: images a second of all together.

Eager bf16, ResNet-32 in batches of 128, as trials train. All processes are up and warm before the first is timed; those
that are not asked keep still.
"""
from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from machine import Arm, Row, spread
from trainer import Setting, random_images, trainer_arm

from .speed import FAST, MOVING
from .told import Told
from .worker import Worker

TOGETHER = (1, 2, 4, 8)
STARTING = 60.0     # seconds that processes may take to be ready, if there is as much time
SETTING = Setting("resnet32, 32 px", "resnet32", (3, 32, 32), 128, 6400, 3)
SMALL = replace(SETTING, name="resnet8, 32 px", model="resnet8", batch_size=8, images=8, rounds=2)
ROOM = 0.9          # of the memory of the GPU, for all of them together

ready: list[Arm] = []       # what this process trains, a slice or a step at a time


def prepare(device: str, setting: Setting, tricks: dict[str, dict[str, object]], share: float) -> None:
    """Make a training in this process, within its share of the GPU's memory, and train one slice of it."""
    if device == "cuda":
        torch.cuda.set_per_process_memory_fraction(share)
    ready[:] = [trainer_arm(setting, random_images(setting), tricks, device=device)]
    train(device, 1)


def train(device: str, rounds: int) -> tuple[float, float]:
    """Train so often what this process has ready; return when it began and when it ended."""
    begun = time.monotonic()
    for _ in range(rounds):
        ready[0]()
    if device == "cuda":
        torch.cuda.synchronize()
    return begun, time.monotonic()


def crew_of(told: Told, count: int, setting: Setting) -> list[Worker]:
    """Return so many processes, each of which has trained a slice."""
    crew = [Worker() for _ in range(count)]
    for worker in crew:
        worker.begin(prepare, told.device, setting, {**MOVING, **FAST}, ROOM / count)
    for worker in crew:
        worker.answer(min(STARTING, told.left))
    return crew


def together(told: Told, crew: list[Worker], setting: Setting) -> float:
    """Return the images a second of processes that train at the same time."""
    for worker in crew:
        worker.begin(train, told.device, setting.rounds)
    times = [worker.answer(told.left) for worker in crew]
    return len(crew) * setting.rounds * setting.images / (max(end for _, end in times) - min(one for one, _ in times))


def measure(told: Told) -> Iterator[Row]:
    """Yield the throughput of some trainings on one GPU, and as a multiple of one alone."""
    setting, counts = (SMALL, TOGETHER[:2]) if told.quick else (SETTING, TOGETHER)
    crew = crew_of(told, counts[-1], setting)
    alone = 0.0
    for count in counts:
        figure = spread(together(told, crew[:count], setting) for _ in range(1 if told.quick else 3))
        alone = alone or figure.median
        yield Row(setting.name, f"{count} at a time", figure, "images/s",
                  note=f"{figure.median / alone:.2f} times one alone")
    for worker in crew:
        worker.end()
