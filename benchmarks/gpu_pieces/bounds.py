"""What the device does at best, which later pieces are held against; and what machine it is."""
from __future__ import annotations

from collections.abc import Iterator

import torch
from machine import Row, SeedStatistics, machine

from .told import Told, speed

ROUNDS = 5


def measure(told: Told) -> Iterator[Row]:
    """Yield the speed of copying and of multiplying matrices."""
    here = machine()
    if told.device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        here |= {"memory": facts.total_memory, "capability": f"{facts.major}.{facts.minor}"}
    repeats = 2 if told.quick else 20
    yield Row(here["gpu"] or "cpu", "copying", _copied(told, repeats), "bytes/s", note="read and written",
              details={"machine": here})
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        yield _multiplied(told, name, dtype, repeats)


def _copied(told: Told, repeats: int) -> SeedStatistics:
    source = torch.empty(2**24 if told.quick else 2**30, dtype=torch.uint8, device=told.device)
    target = torch.empty_like(source)

    def copy() -> None:
        for _ in range(repeats):
            target.copy_(source)
    return speed(told, copy, 2.0 * repeats * len(source), ROUNDS)


def _multiplied(told: Told, name: str, dtype: torch.dtype, repeats: int) -> Row:
    side = 256 if told.quick else 8192
    left, right = (torch.randn(side, side, device=told.device).to(dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(repeats):
            left @ right
    return Row(f"{side} x {side}", name, speed(told, multiply, 2.0 * repeats * side**3, ROUNDS), "operations/s",
               note="matrix product of random numbers")
