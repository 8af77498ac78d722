"""AutoAugment: pairs of operations that a search found on CIFAR-10, ImageNet or SVHN."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.augmentation_policies import Range, standard
from ...functional.image_operations import Operation, operated

# A sub-policy: operation, probability in tenths and level of 9; twice. A level of - is none.
POLICIES = {
    "cifar10": """
        invert 1 - contrast 2 6, rotate 7 2 translate_x 3 9, sharpness 8 1 sharpness 9 3,
        shear_y 5 8 translate_y 7 9, auto_contrast 5 - equalize 9 -, shear_y 2 7 posterize 3 7,
        color 4 3 brightness 6 7, sharpness 3 9 brightness 7 9, equalize 6 - equalize 5 -,
        contrast 6 7 sharpness 6 5, color 7 7 translate_x 5 8, equalize 3 - auto_contrast 4 -,
        translate_y 4 3 sharpness 2 6, brightness 9 6 color 2 8, solarize 5 2 invert 0 -,
        equalize 2 - auto_contrast 6 -, equalize 2 - equalize 6 -, color 9 9 equalize 6 -,
        auto_contrast 8 - solarize 2 8, brightness 1 3 color 7 0, solarize 4 5 auto_contrast 9 -,
        translate_y 9 9 translate_y 7 9, auto_contrast 9 - solarize 8 3, equalize 8 - invert 1 -,
        translate_y 7 9 auto_contrast 9 -""",
    "imagenet": """
        posterize 4 8 rotate 6 9, solarize 6 5 auto_contrast 6 -, equalize 8 - equalize 6 -,
        posterize 6 7 posterize 6 6, equalize 4 - solarize 2 4, equalize 4 - rotate 8 8,
        solarize 6 3 equalize 6 -, posterize 8 5 equalize 10 -, rotate 2 3 solarize 6 8,
        equalize 6 - posterize 4 6, rotate 8 8 color 4 0, rotate 4 9 equalize 6 -,
        equalize 0 - equalize 8 -, invert 6 - equalize 10 -, color 6 4 contrast 10 8,
        rotate 8 8 color 10 2, color 8 8 solarize 8 7, sharpness 4 7 invert 6 -,
        shear_x 6 5 equalize 10 -, color 4 0 equalize 6 -, equalize 4 - solarize 2 4,
        solarize 6 5 auto_contrast 6 -, invert 6 - equalize 10 -, color 6 4 contrast 10 8,
        equalize 8 - equalize 6 -""",
    "svhn": """
        shear_x 9 4 invert 2 -, shear_y 9 8 invert 7 -, equalize 6 - solarize 6 6,
        invert 9 - equalize 6 -, equalize 6 - rotate 9 3, shear_x 9 4 auto_contrast 8 -,
        shear_y 9 8 invert 4 -, shear_y 9 5 solarize 2 6, invert 9 - auto_contrast 8 -,
        equalize 6 - rotate 9 3, shear_x 9 4 solarize 3 3, shear_y 8 8 invert 7 -,
        equalize 9 - translate_y 6 6, invert 9 - equalize 6 -, contrast 3 3 rotate 8 4,
        invert 8 - translate_y 0 2, shear_y 7 6 solarize 4 8, invert 6 - rotate 8 4,
        shear_y 3 7 translate_x 9 3, shear_x 1 6 invert 6 -, solarize 7 2 translate_y 6 7,
        shear_y 8 4 invert 8 -, shear_x 7 9 translate_y 8 3, shear_y 8 5 auto_contrast 7 -,
        shear_x 7 2 invert 1 -"""}

Step = tuple[Operation, float, float]


def sub_policies(name: str) -> list[tuple[Step, Step]]:
    """Return the 25 pairs of a policy, each step an operation, its probability and its level in [0, 1]."""
    pairs = []
    for line in POLICIES[name].split(","):
        words = line.split()
        first, second = ((Operation[operation.upper()], int(tenths) / 10, 0.0 if level == "-" else int(level) / 9)
                         for operation, tenths, level in (words[:3], words[3:]))
        pairs.append((first, second))
    return pairs


class AutoAugment(Trick):
    """Apply to each image one of 25 pairs of operations, each operation with its own probability and strength.

    The pairs were found by a search on CIFAR-10, which the paper uses for CIFAR-100 too, on ImageNet or on SVHN. Crop
    and flip belong beside it; for CIFAR the paper adds `cutout` with a size of one half. To images of one channel,
    color does nothing.

    Paper: Cubuk et al. 2019, https://arxiv.org/abs/1805.09501, tables 6 to 9.
    Cost: three passes over the images for each of the two operations.
    Deviates: Blends are mirrored around the image, degrees are not cut to whole ones, and the lists are those of
        PyTorch's library. What moves in from outside is the channel mean, as in the authors' code for CIFAR.
    """

    seats = {Slot.AUGMENT: "policy"}
    policy: str = tunable("cifar10", search=Choice("cifar10", "imagenet", "svhn"))

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what changes each image of a batch by a pair of operations of its own."""
        range_ = Range.of(standard(*run.image_shape[1:]) | {Operation.INVERT: 0.0}, run.device)
        pairs = sub_policies(self.policy)
        indices = torch.tensor([[range_.operations.index(step[0]) for step in pair] for pair in pairs],
                               device=run.device)
        probabilities, levels = (torch.tensor([[step[number] for step in pair] for pair in pairs], device=run.device)
                                 for number in (1, 2))

        def changed(batch: Batch) -> Batch:
            batch = inner(batch)
            count = len(batch)
            pair = torch.randint(len(pairs), (count,), generator=run.generator, device=run.device)
            for step in (0, 1):
                applies, negative = torch.rand(2, count, generator=run.generator, device=run.device)
                index = indices[pair, step]
                numbers = torch.where(applies < probabilities[pair, step], range_.numbers[index], Operation.IDENTITY)
                magnitudes = range_.magnitudes(index, levels[pair, step], negative < 0.5)
                batch = operated(batch, numbers, magnitudes, run.mean, range_.operations)
            return batch
        return changed
