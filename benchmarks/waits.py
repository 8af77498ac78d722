"""Whether a step waits for the device: every trick of the catalog trains a few steps on its own and may not.

On a GPU torch itself refuses to synchronize inside a step (`torch.cuda.set_sync_debug_mode("error")`). Elsewhere the
calls are counted that would wait there: reading a number out of a tensor, as `.item()`, `int()` and `if` do, and
operations whose result has a length that depends on values. The figure is how many tricks wait. There, `ema` and `swa`
are among them: they read how many models are in the average, from a tensor that stays on the CPU also beside a GPU.

A trick that a lone bundle cannot hold, such as distillation without a teacher, is left out and counted in the note.
"""
from __future__ import annotations

import sys
from typing import Any

import torch
from machine import Row, Target, conclude, parser, spread
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from trainer import SGD, Setting, Unevaluated, fresh_model, random_images

from autotricks.core.bundle import Bundle
from autotricks.core.run import ModelFactory
from autotricks.errors import InputError
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import catalog, make, plan_of

SETTING = Setting("every trick", "resnet8", (3, 32, 32), 16, 64, 1)
WAITING = {torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.masked_select,
           torch.ops.aten.equal, torch.ops.aten._unique2}
INDEXING = {torch.ops.aten.index, torch.ops.aten.index_put_, torch.ops.aten.index_put}
SLOW = {"torch_compile"}        # half a minute to compile what the other tricks have shown already


class Reads(TorchDispatchMode):
    """Count what would wait for a device.

    Attributes:
        names: Of the operations, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the call if it waits, and let it be done."""
        masks = args[1] if call.overloadpacket in INDEXING else ()
        if call.overloadpacket in WAITING or any(isinstance(mask, Tensor) and mask.dtype is torch.bool
                                                 for mask in masks):
            self.names.append(call.overloadpacket.__name__)
        return call(*args, **(kwargs or {}))


class Watched(Unevaluated):
    """A trainer whose steps are watched; what waits is noted in `waits`."""

    waits: tuple[str, ...] = ()

    def step(self, rows: Tensor) -> Tensor:
        """Train a step, watched."""
        if self.run.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
            try:
                return super().step(rows)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        with Reads() as reads:
            loss = super().step(rows)
        self.waits += tuple(reads.names)
        return loss


def waits(names: tuple[str, ...], device: str) -> tuple[str, ...]:
    """Return what the steps of a bundle of these tricks wait for; on a GPU the first such thing.

    Raises:
        InputError: When they cannot be trained with nothing else.
    """
    uses = tuple(make(name, SGD if name == "sgd" else {}) for name in names)
    bundle = Bundle(uses, SETTING.model, epochs=2, batch_size=SETTING.batch_size)
    trainer = Watched(plan_of(bundle, CLASSIFICATION), fresh_model(SETTING), random_images(SETTING), device,
                      supply=ModelFactory(lambda: fresh_model(SETTING)))
    try:
        for _ in trainer.epochs():
            pass
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return (str(error).splitlines()[0],)
    return trainer.waits


def measure(quick: bool, device: str = "cuda" if torch.cuda.is_available() else "cpu") -> list[Row]:
    """Return how many tricks wait; the baseline alone, and then every trick."""
    names = [name for name in catalog() if name not in SLOW]
    found, left_out = dict[str, tuple[str, ...]](), list[str]()
    for name in names[::10] if quick else names:
        try:
            found[name] = waits((name,), device)
        except InputError:
            left_out.append(name)
    waiting = {name: sorted(set(what)) for name, what in found.items() if what}
    said = f"{len(found)} tricks, {len(left_out)} cannot be alone" + "".join(
        f"; {name}: {', '.join(what)}" for name, what in waiting.items())
    return [Row(device, "steps of the baseline that wait", spread([float(len(waits((), device)))]), "calls",
                Target(most=0)),
            Row(device, "tricks whose steps wait", spread([float(len(waiting))]), "tricks",
                Target(most=0) if device == "cuda" else None, said, {"waiting": waiting, "left_out": left_out})]


if __name__ == "__main__":
    sys.exit(conclude({"waits": measure}, parser(__doc__).parse_args()))
