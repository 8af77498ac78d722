"""Constants: a few numbers of the host's beside a tensor, without a wait for the device."""
from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def constants(values: Iterable[float], like: Tensor) -> Tensor:
    """Return numbers in the type and on the device of a tensor, [N]: what `like.new_tensor(values)` returns.

    That copies from the host, which then waits until the device has done all that it was told before. Here the device
    writes each number itself, so steps may call this.

    Cost: a kernel for each number.
    """
    return torch.stack([like.new_full((), value) for value in values])
