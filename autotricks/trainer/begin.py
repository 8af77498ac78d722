"""Begin: what is known before the first step."""
from __future__ import annotations

import torch
from torch import nn

from ..core.dataset import Dataset
from ..core.plan import Plan
from ..core.run import Run, Runtime
from ..errors import ResourceError


def begin(plan: Plan, model: nn.Module, dataset: Dataset, device: torch.device, runtime: Runtime) -> Run:
    """Return the run of a plan on a data set that is on the device.

    Raises:
        ResourceError: When a batch has fewer images than there are ranks.
    """
    bundle = plan.bundle
    train = dataset.train
    size = min(plan.bundle.batch_size, len(dataset.train))
    if size < runtime.ranks:
        raise ResourceError(f"training.batch_size: {size} image{'s' * (size > 1)} a step cannot be parted among "
                            f"{runtime.ranks} GPUs. Raise it, or take fewer GPUs.")
    return Run(
        model=model, images=train.images, targets=train.targets, counts=dataset.counts.float().to(device),
        mean=torch.tensor(dataset.mean, device=device).view(-1, 1, 1),
        std=torch.tensor(dataset.std, device=device).view(-1, 1, 1),
        task=dataset.task, image_shape=dataset.image_shape, batch_size=size, epochs=bundle.epochs,
        steps_per_epoch=max(1, len(train) // size), device=device,
        generator=torch.Generator(device).manual_seed(bundle.seed), runtime=runtime,
        windows={use.trick.name: (use.window.start, use.window.stop) for use in plan.active})
