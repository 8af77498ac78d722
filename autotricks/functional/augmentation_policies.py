"""Policies: what tricks share that draw operations and how strong they are."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.batch import Batch
from .image_operations import Operation, operated

AT_REST = {Operation.POSTERIZE: 8.0, Operation.SOLARIZE: 256.0}  # magnitudes that change nothing; 0 for the others
SIGNED = frozenset(Operation(number) for number in range(Operation.SHEAR_X, Operation.POSTERIZE))


@dataclass(frozen=True, eq=False)
class Range:
    """The operations of a policy and how strong each can be.

    Shapes:
        numbers: [O], int64, the operations' own numbers.
        rest: [O], magnitudes at level 0.
        full: [O], magnitudes at level 1.
        signed: [O], bool, whether a magnitude has either sign.
    """

    operations: tuple[Operation, ...]
    numbers: Tensor
    rest: Tensor
    full: Tensor
    signed: Tensor

    @classmethod
    def of(cls, full: Mapping[Operation, float], device: torch.device,
           rest: Mapping[Operation, float] = AT_REST) -> Range:
        """Return the range that ends with these magnitudes; in between they grow evenly."""
        operations = tuple(full)
        return cls(operations, torch.tensor([int(operation) for operation in operations], device=device),
                   torch.tensor([rest.get(operation, 0.0) for operation in operations], device=device),
                   torch.tensor([full[operation] for operation in operations], device=device),
                   torch.tensor([operation in SIGNED for operation in operations], device=device))

    def magnitudes(self, indices: Tensor, levels: Tensor, negative: Tensor) -> Tensor:
        """Return the magnitudes of operations.

        Shapes:
            indices: [B], int64, positions in `operations`.
            levels: [B], in [0, 1].
            negative: [B], bool, the sign of those that have one.
            returns: [B].
        """
        size = self.rest[indices].lerp(self.full[indices], levels)
        return torch.where(self.signed[indices] & negative, -size, size)


def standard(height: int, width: int) -> dict[Operation, float]:
    """Return the operations of AutoAugment and RandAugment with their greatest magnitudes.

    Paper: Cubuk et al. 2019, https://arxiv.org/abs/1805.09501, table 6, in the form that PyTorch's library has it:
        blends are mirrored around the image, and translations reach 150/331 of the side.
    """
    return {
        Operation.IDENTITY: 0.0, Operation.SHEAR_X: 0.3, Operation.SHEAR_Y: 0.3,
        Operation.TRANSLATE_X: 150 / 331 * width, Operation.TRANSLATE_Y: 150 / 331 * height, Operation.ROTATE: 30.0,
        Operation.BRIGHTNESS: 0.9, Operation.COLOR: 0.9, Operation.CONTRAST: 0.9, Operation.SHARPNESS: 0.9,
        Operation.POSTERIZE: 4.0, Operation.SOLARIZE: 0.0, Operation.AUTO_CONTRAST: 0.0, Operation.EQUALIZE: 0.0}


def uniform(batch: Batch, range_: Range, levels: Tensor, fill: Tensor, generator: torch.Generator) -> Batch:
    """Return the batch after an operation for each image, all as likely, at its own level and either sign.

    Shapes:
        levels: [B], in [0, 1].
        fill: [D, 1, 1].
    """
    count = len(batch)
    device = batch.images.device
    indices = torch.randint(len(range_.operations), (count,), generator=generator, device=device)
    negative = torch.rand(count, generator=generator, device=device) < 0.5
    magnitudes = range_.magnitudes(indices, levels, negative)
    return operated(batch, range_.numbers[indices], magnitudes, fill, range_.operations)
