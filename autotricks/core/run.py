"""Run: what is known while training; Runtime: how the step is carried out."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Runtime:
    """How a step is carried out, whatever it computes.

    Args:
        channels_last: Lay images and weights out as NHWC.
        micro_batches: Pieces into which a batch is cut; gradients add up to those of the whole batch.
    """

    channels_last: bool = False
    micro_batches: int = 1


PLAIN = Runtime()

Probe = Callable[[Optimizer, list[float]], list[float]]


@dataclass(eq=False)
class Run:
    """What a trick may know while training.

    Args:
        model: The model being trained.
        labels: Labels of the training split, [N], int64, on `device`.
        counts: Training images of each class, [C], float32, on `device`.
        mean: Mean of each channel in [0, 1], [D, 1, 1], on `device`.
        std: Standard deviation of each channel, [D, 1, 1], on `device`.
        image_shape: (D, H, W).
        batch_size: Images a step.
        epochs: Length of this training run; fractions of an epoch count.
        steps_per_epoch: Optimizer steps in an epoch.
        device: Where images, labels and model live.
        generator: The only source of randomness for tricks, on `device`.
        probe: Train a few steps with the given optimizer at each of the given learning rates, return the losses,
            and leave everything as it was. Set by the trainer before optimizers are built.
        progress: Fraction of training done, in [0, 1]; moves with every step.
    """

    model: nn.Module
    labels: Tensor
    counts: Tensor
    mean: Tensor
    std: Tensor
    image_shape: tuple[int, int, int]
    batch_size: int
    epochs: float
    steps_per_epoch: int
    device: torch.device
    generator: torch.Generator
    runtime: Runtime = PLAIN
    probe: Probe | None = None
    progress: float = 0.0

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training run."""
        return max(1, round(self.epochs * self.steps_per_epoch))
