"""Several ranks, one training run: what the processes tell one another over torch.distributed.

Each rank draws the same batches from the same generator, so samplers, augmentation, mixing and class weights are those
of one process; it computes the gradients of its part alone, as it would those of a micro-batch. They are added up
once for each pass, after it: no message is on its way while a rank computes, so one that runs out of memory can try
again with smaller micro-batches of its own, and weights may be frozen and freed at any time. (torch's
DistributedDataParallel sends during the backward pass: it must know beforehand which weights are trained, and a rank
without memory leaves the others waiting in the midst of it.) The exception is synchronized batch norm, on GPUs.

Cost: every rank reads, augments and evaluates all images, so that nothing has to be agreed on.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..core.run import Run, Runtime
from ..functional.tensor_lists import copy_

# Ranks listen to this machine alone; and who waits for one that is gone is told by `ranks`, not killed by NCCL.
ALONE = {"TORCH_NCCL_ASYNC_ERROR_HANDLING": "0", **({"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
                                                   if sys.platform == "linux" else {})}


def join(rank: int, ranks: int, meeting: Path, device: torch.device) -> None:
    """Meet the other ranks at a file, which must not be there before the first of them; nobody else can join.

    Args:
        rank: Of this process.
        ranks: How many there are.
        meeting: A file that all of them see.
        device: This rank's own.
    """
    own = device if device.type == "cuda" else None
    os.environ.update({name: value for name, value in ALONE.items() if name not in os.environ})
    if own:
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own else "gloo", init_method=meeting.as_uri(), rank=rank, world_size=ranks,
                            device_id=own)


def joined() -> bool:
    """Return whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized()


def among(runtime: Runtime) -> Runtime:
    """Return the runtime of this rank, which trains with the others that it has joined."""
    return replace(runtime, ranks=dist.get_world_size(), rank=dist.get_rank())


@torch.no_grad()
def summed(loss: Tensor, model: nn.Module) -> Tensor:
    """Add up the loss and the gradients of all ranks, and average what their batch norms have noted.

    Every rank ends with the same bits.

    Shapes:
        loss: [], of this rank's part, in proportion to it.
        returns: [], of the batch.

    Cost: one message as long as the weights; one copy of the gradients meanwhile.
    """
    loss_and_grads = [loss, *(weight.grad for weight in model.parameters() if weight.grad is not None)]
    noted = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    message = torch.cat([tensor.float().flatten() for tensor in (*loss_and_grads, *noted)])
    dist.all_reduce(message)
    parts = message.split([tensor.numel() for tensor in (*loss_and_grads, *noted)])
    total = parts[0].view(())
    copy_(loss_and_grads[1:], [part.view(each.shape) for part, each in zip(parts[1:], loss_and_grads[1:])])
    means = [part.view(each.shape) / dist.get_world_size() for part, each in zip(parts[len(loss_and_grads):], noted)]
    if means:
        copy_(noted, means)
    return total


def agreed(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Return the figures of rank 0, by which all decide; kernels may round differently on each device."""
    tensor = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.broadcast(tensor, 0)
    return dict(zip(values, tensor.tolist(), strict=True))


@contextmanager
def own_numbers(run: Run) -> Iterator[None]:
    """Draw random numbers of this rank's own inside; afterwards all ranks go on where they were together.

    They follow from seed, step and rank alone, so a resumed run draws them again.
    """
    if run.runtime.ranks == 1:
        yield
        return
    together = run.generator.get_state()
    step = round(run.progress * run.steps)
    own = (run.generator.initial_seed() << 32) + step * run.runtime.ranks + run.runtime.rank + 1
    run.generator.manual_seed(own % 2**63)
    torch.manual_seed(own % 2**63)
    try:
        yield
    finally:
        run.generator.set_state(together)


def part_ways() -> None:
    """Leave the other ranks, who may be gone already."""
    if joined():
        abort() if dist.get_backend() == "nccl" else dist.destroy_process_group()


def abort() -> None:
    """End whatever waits for another rank, from any thread; this process has then left the others."""
    if joined():
        dist.distributed_c10d._abort_process_group()    # which torch has no public way for; `tests/test_ranks.py`
