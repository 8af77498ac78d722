"""The state of torch's own generators, from which modules such as dropout draw."""
from __future__ import annotations

import torch
from torch import Tensor


def rng_state(device: torch.device) -> list[Tensor]:
    """Return the state of the CPU's generator and, where the model is on a GPU, of that GPU's."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_rng_state(states: list[Tensor], device: torch.device) -> None:
    """Put back what `rng_state` returned; a checkpoint may come from another kind of device."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)
