"""AugMix: mix each image with chains of operations on itself."""
from __future__ import annotations

from ...core.batch import Batch
from ...core.domain import Between, Choice, Int, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.augmix import mixed, operations


class Augmix(Trick):
    """Replace each image by (1 - m) * image + m * a weighted mean of `width` chains of 1 to 3 operations on it.

    Operations are shear, translation and rotation, posterize, solarize, autocontrast and equalize, each as likely; m is
    uniform over [0, 1], the weights of the chains over all that sum to 1. Labels stay. This is the augmentation alone;
    `augmix_consistency` has the loss that belongs to it in the paper, at three times the cost.

    Paper: Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781, section 3; numbers as in the authors' code for
        CIFAR, https://github.com/google-research/augmix, which takes severity 1 for ImageNet.
    Cost: six passes over `width` times the images.
    """

    seats = {Slot.AUGMENT: "policy"}
    excludes_data = frozenset({DataTrait.BOXES})     # operations of several chains move them apart
    severity: int = tunable(3, search=Int(1, 5), legal=Between(1, 10), unit="tenths of the greatest strength")
    width: int = tunable(3, search=Choice(3), legal=Between(1, 10), unit="chains an image")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what mixes each image of a batch with chains of its own."""
        range_ = operations(*run.image_shape[1:], run.device)

        def blended(batch: Batch) -> Batch:
            batch = inner(batch)
            return batch.painted(mixed(batch.images, range_, self.severity, self.width, run.generator))
        return blended
