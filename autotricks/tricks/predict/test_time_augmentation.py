"""Test-time augmentation: predict from several views of each image."""
from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.task import Back
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...errors import BundleError
from ...functional.resizing import require_size, resized, sides, whole_patches

SHARE = 224 / 256       # of height and width that one of five crops shows
APART = 32 / 256        # by how much the scales differ


def windows(images: Tensor, height: int, width: int, crops: int) -> Iterator[tuple[Tensor, Back]]:
    """Yield crops of images, each of this size: all of the image, or its four corners and its middle; and where it was.

    Args:
        images: What is cut.
        height: Of a crop.
        width: Of a crop.
        crops: 1 or 5. Of five, each shows 7/8 of the image's height and of its width.

    Shapes:
        images: [B, D, H, W].
        yields: [B, D, height, width] and from its pixels to those of the images.
    """
    size = (height, width) if crops == 1 else (round(height / SHARE), round(width / SHARE))
    larger = resized(images, *size)
    down = images.shape[-2] / size[0]
    across = images.shape[-1] / size[1]
    bottom = size[0] - height
    right = size[1] - width
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2)))
    for top, left in corners[:crops]:
        yield larger[..., top:top + height, left:left + width], ((across, across * left), (down, down * top))


def mirrored(back: Back, width: int) -> Back:
    """Return where the pixels of a view's mirror image were, of which `back` says where those of the view were."""
    (scale, shift), down = back
    return (-scale, shift + scale * width), down


class TestTimeAugmentation(Trick):
    """Predict the average of what the model says of several views of each image; training stays as it is.

    Views are all combinations of crop, scale and mirror image: 1 to 30. Five crops with `flip` are the ten crops of
    ImageNet; three scales are 7/8, 1 and 9/8. Leave `flip` off where left and right mean something: digits, letters,
    road signs. The mean of logits is, in probabilities, their geometric mean, made to add up to one; `probabilities`
    takes the arithmetic mean, as the papers do. What comes out is of the model's kind, whatever the task: boxes of all
    views are put where they are in the image, and suppression leaves one of those that lie over one another.

    Paper: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386, section 5.1, ten crops; Simonyan and Zisserman 2015,
        https://arxiv.org/abs/1409.1556, section 4.2, three scales; Shanmugam et al. 2021,
        https://arxiv.org/abs/2011.11156, on what is gained and when right answers turn wrong.
    Cost: one prediction for each view; nothing in training but its evaluation after each epoch.
    Deviates: images are as large as training has them; crops are cut from enlarged ones, not from sharper originals.

    Raises:
        ModelError: When there are three scales and the model takes images of one size only.
        BundleError: When probabilities of objects with boxes are to be averaged.
    """

    __test__ = False        # what is called so is a test to pytest
    seats = {Slot.PREDICT: "views"}
    flip: bool = tunable(True, search=Choice(True, False), legal=Choice(True, False))
    crops: int = tunable(1, search=Choice(1, 5), legal=Choice(1, 5), unit="of each scale")
    scales: int = tunable(1, search=Choice(1, 3), legal=Choice(1, 3), unit="sizes of the image")
    averaged: str = tunable("logits", search=Choice("logits"), legal=Choice("logits", "probabilities"))

    def check(self, run: Run) -> None:
        """Refuse a model that cannot take images of these sizes, and the mean of what has none."""
        self._sizes(run)
        if self.averaged == "probabilities" and DataTrait.BOXES in run.task.brings:
            raise BundleError(f"{self.name}.averaged: boxes of several views are joined and have no mean. Take logits.")

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return the average over the views."""
        sizes = self._sizes(run)

        def views(images: Tensor) -> Iterator[tuple[Tensor, Back]]:
            for height, width in sizes:
                for window, back in windows(images, height, width, self.crops):
                    yield window, back
                    if self.flip:
                        yield window.flip(-1), mirrored(back, width)

        def mean_output(images: Tensor) -> Tensor:
            found = [(inner(view), back) for view, back in views(images)]
            outputs = [output for output, _ in found]
            if self.averaged == "logits":
                return run.task.merged(outputs, [back for _, back in found])
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
