"""Groups of classes by how many training images they have: many-, medium- and few-shot."""
from __future__ import annotations

import torch
from torch import Tensor

MANY = 100
FEW = 20     # training images of a class: many-shot above, few-shot below (Liu et al. 2019)
SHOTS = ("many_shot", "medium_shot", "few_shot")


def shots(counts: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Return the classes, [C] bool, that are many-, medium- and few-shot among those present, without empty groups.

    Shapes:
        counts: [C], training images of each class.
        present: [C] bool, whether the class occurs where it is measured.
    """
    masks = torch.stack([counts > MANY, (counts <= MANY) & (counts >= FEW), counts < FEW]) & present
    return {name: mask for name, mask, there in zip(SHOTS, masks, masks.any(1).tolist(), strict=True) if there}
