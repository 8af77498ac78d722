"""Batch norm's statistics, estimated anew for weights that no step has trained."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ..core.run import Run

CHUNK = 256     # images a forward pass, the least where there are as many


def reestimate(model: nn.Module, run: Run, images: int) -> None:
    """Set the statistics of each batch norm to those over up to `images` training images, as they are."""
    rows = torch.randperm(len(run.images), generator=run.generator, device=run.device)[:images]
    parts: tuple[Tensor, ...] = rows.tensor_split(max(1, len(rows) // CHUNK))
    update_bn((run.normalize(run.images[part]) for part in parts), model)
