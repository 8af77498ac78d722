"""Center crop: predict from the middle of each image."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.trick import Trick
from ...functional.resizing import resized, sides


class CenterCrop(Trick):
    """Predict from the middle of each image, `ratio` of its height and of its width, at the size of the whole.

    The model sees images of the size that it was trained on, with objects as large as random crops show them in
    training: 0.875 is the shorter side resized to 256, then 224 pixels of it.

    Paper: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386, section 3; as He et al. 2018,
        https://arxiv.org/abs/1812.01187, section 2.1, evaluate.
    Cost: a resizing of each image that is predicted.
    Deviates: images are as large as training has them and are enlarged; a crop from a larger original is sharper.
    """

    seats = {Slot.PREDICT: "views"}
    ratio: float = tunable(0.875, search=Choice(0.875, 0.9375, 1.0), legal=Between(0, 1, without=(0,)),
                           unit="of height and width")

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return the logits of the images' middle."""
        height, width = run.image_shape[1:]
        larger = sides(run, 1 / self.ratio)
        top = (larger[0] - height) // 2
        left = (larger[1] - width) // 2

        def viewed(images: Tensor) -> Tensor:
            return inner(resized(images, *larger)[..., top:top + height, left:left + width])
        return viewed
