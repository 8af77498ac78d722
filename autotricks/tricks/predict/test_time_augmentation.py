"""Test-time augmentation: predict from several views of each image."""
from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.resizing import require_size, resized, sides, whole_patches

SHARE = 224 / 256       # of height and width that one of five crops shows
APART = 32 / 256        # by how much the scales differ


def windows(images: Tensor, height: int, width: int, crops: int) -> Iterator[Tensor]:
    """Yield crops of images, each of this size: all of the image, or its four corners and its middle.

    Args:
        images: What is cut.
        height: Of a crop.
        width: Of a crop.
        crops: 1 or 5. Of five, each shows 7/8 of the image's height and of its width.

    Shapes:
        images: [B, D, H, W].
        yields: [B, D, height, width].
    """
    if crops == 1:
        yield resized(images, height, width)
        return
    larger = resized(images, round(height / SHARE), round(width / SHARE))
    bottom = larger.shape[-2] - height
    right = larger.shape[-1] - width
    for top, left in ((0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))):
        yield larger[..., top:top + height, left:left + width]


class TestTimeAugmentation(Trick):
    """Predict the average of what the model says of several views of each image; training stays as it is.

    Views are all combinations of crop, scale and mirror image: 1 to 30. Five crops with `flip` are the ten crops of
    ImageNet; three scales are 7/8, 1 and 9/8. Leave `flip` off where left and right mean something: digits, letters,
    road signs. The mean of logits is, in probabilities, their geometric mean, made to add up to one; `probabilities`
    takes the arithmetic mean, as the papers do. What comes out is of the model's kind, whatever the task.

    Paper: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386, section 5.1, ten crops; Simonyan and Zisserman 2015,
        https://arxiv.org/abs/1409.1556, section 4.2, three scales; Shanmugam et al. 2021,
        https://arxiv.org/abs/2011.11156, on what is gained and when right answers turn wrong.
    Cost: one prediction for each view; nothing in training but its evaluation after each epoch.
    Deviates: images are as large as training has them; crops are cut from enlarged ones, not from sharper originals.

    Raises:
        ModelError: When there are three scales and the model takes images of one size only.
    """

    __test__ = False        # what is called so is a test to pytest
    seats = {Slot.PREDICT: "views"}
    excludes_data = frozenset({DataTrait.BOXES})
    flip: bool = tunable(True, search=Choice(True, False), legal=Choice(True, False))
    crops: int = tunable(1, search=Choice(1, 5), legal=Choice(1, 5), unit="of each scale")
    scales: int = tunable(1, search=Choice(1, 3), legal=Choice(1, 3), unit="sizes of the image")
    averaged: str = tunable("logits", search=Choice("logits"), legal=Choice("logits", "probabilities"))

    def check(self, run: Run) -> None:
        """Refuse a model that cannot take images of these sizes."""
        self._sizes(run)

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return the average over the views."""
        sizes = self._sizes(run)

        def views(images: Tensor) -> Iterator[Tensor]:
            for height, width in sizes:
                for window in windows(images, height, width, self.crops):
                    yield window
                    if self.flip:
                        yield window.flip(-1)

        def mean_output(images: Tensor) -> Tensor:
            outputs = [inner(view) for view in views(images)]
            if self.averaged == "logits":
                return torch.stack(outputs).mean(0)
            return run.task.encode(torch.stack([run.task.decode(output) for output in outputs]).mean(0))
        return mean_output

    def _sizes(self, run: Run) -> list[tuple[int, int]]:
        """Return height and width of the views at each scale, the images' own first."""
        height, width = run.image_shape[1:]
        scales = (1 - APART, 1 + APART) if self.scales == 3 else ()
        others = [whole_patches(run, *sides(run, scale)) for scale in scales]
        for size in others:
            require_size(run, *size, self.name)
        return [(height, width), *others]
