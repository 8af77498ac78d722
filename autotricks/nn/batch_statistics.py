"""Batch norm's statistics, estimated anew for weights that no step has trained."""
from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ..core.run import Run

CHUNK = 256     # images a forward pass, the least where there are as many
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def reestimate(model: nn.Module, run: Run, images: int) -> None:
    """Set the statistics of each batch norm to those over up to `images` training images, as they are."""
    rows = torch.randperm(len(run.images), generator=run.generator, device=run.device)[:images]
    parts: tuple[Tensor, ...] = rows.tensor_split(max(1, len(rows) // CHUNK))
    passes = Counter[nn.Module]()

    def weigh(norm: nn.Module, given: object) -> None:
        """Let a batch count as much as each before it; torch would read their number off the device, at every layer."""
        passes[norm] += 1
        norm.momentum = 1 / passes[norm]    # type: ignore[assignment]
    hooks = [module.register_forward_pre_hook(weigh) for module in model.modules() if isinstance(module, NORMS)]
    try:
        update_bn((run.normalize(run.images[part]) for part in parts), model)
    finally:
        for hook in hooks:
            hook.remove()
