"""Inference resolution: predict from images of another size than those trained on."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.trick import Trick
from ...functional.resizing import require_size, resized, sides, whole_patches


class InferenceResolution(Trick):
    """Predict from images resized by `scale`; training stays as it is.

    Random crops show objects larger in training than they are when testing, and larger test images mend that. A search
    over 0.85 to 1.3 is the sweep that recipes for ImageNet make by hand. The images are those of training, enlarged; to
    test on sharper ones, give the data the larger size and train smaller, by `multi_scale` with both scales alike. A
    vision transformer of timm's has its table of positions resampled and takes the nearest whole number of patches.

    Paper: Touvron et al. 2019, https://arxiv.org/abs/1906.06423, section 3, without its fine-tuning.
    Cost: that of predicting changes with the square of the scale.

    Raises:
        ModelError: When the model takes images of one size only.
    """

    seats = {Slot.PREDICT: "views"}
    scale: float = tunable(1.125, search=Float(0.75, 1.5, step=0.125), legal=Above(0), unit="times the image's side")

    def check(self, run: Run) -> None:
        """Refuse a model that cannot take images of this size."""
        self._size(run)

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return what the model says of resized images, with boxes where they are in the images themselves."""
        size = self._size(run)

        def viewed(images: Tensor) -> Tensor:
            height, width = images.shape[-2:]
            back = ((width / size[1], 0.0), (height / size[0], 0.0))
            return run.task.merged([inner(resized(images, *size))], [back])
        return viewed

    def _size(self, run: Run) -> tuple[int, int]:
        """Return height and width of what is predicted from."""
        size = whole_patches(run, *sides(run, self.scale))
        require_size(run, *size, self.name)
        return size
