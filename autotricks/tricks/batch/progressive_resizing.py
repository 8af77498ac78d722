"""Progressive resizing: begin with small images and let them grow."""
from __future__ import annotations

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.resizing import at_size, require_size, sides, whole_patches


def grown(progress: float, first: float, delay: float, full: float) -> float:
    """Return the scale: `first` until `delay`, 1 from `full` on, in between growing evenly.

    Args:
        progress: Fraction of training done.
        first: Scale at the start.
        delay: Fraction of training.
        full: Fraction of training; where it is not after `delay`, the scale jumps there.
    """
    if progress >= full:
        return 1.0
    return first + (1 - first) * max(0.0, progress - delay) / (full - delay) if full > delay else first


class ProgressiveResizing(Trick):
    """Train on images of `first` times their size, then on larger and larger ones, from `full` on at their own size.

    Sides grow pixel by pixel, or in steps of `step`; those of a vision transformer of timm's, whose table of positions
    is resampled, by whole patches. Early epochs are cheaper by the square of the scale: at half the size until
    half-time and growing until 80 %, training costs about half.

    Paper: Howard 2018, https://www.fast.ai/posts/2018-04-30-dawnbench-fastai.html; numbers as MosaicML found good for
        ImageNet, https://github.com/mosaicml/composer, progressive resizing.
    Cost: none; that of the model falls with the square of the scale. Each size is planned anew by what tunes
        or compiles kernels by shape.

    Raises:
        ModelError: When the model takes images of one size only.
    """

    seats = {Slot.BATCH: "resize"}
    provides = frozenset({Trait.RESIZES})
    first: float = tunable(0.5, search=Float(0.4, 0.9), legal=Between(0, 1, without=(0,)),
                           unit="times the image's side")
    delay: float = tunable(0.5, search=Choice(0.0, 0.25, 0.5), legal=Between(0, 1), unit="fraction of training")
    full: float = tunable(0.8, search=Choice(0.6, 0.7, 0.8), legal=Between(0, 1), unit="fraction of training")
    step: int = tunable(4, search=Choice(4), legal=Between(1, 512), unit="pixels by which a side grows")

    def check(self, run: Run) -> None:
        """Refuse a model that cannot take the smallest images."""
        require_size(run, *self._size(run, self.first), self.name)

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what resizes each batch."""
        require_size(run, *self._size(run, self.first), self.name)

        def small(batch: Batch) -> Batch:
            batch = inner(batch)
            scale = grown(run.progress, self.first, self.delay, self.full)
            return at_size(batch, *self._size(run, scale))
        return small

    def _size(self, run: Run, scale: float) -> tuple[int, int]:
        """Return height and width, whole numbers of steps less than in full."""
        height, width = (side - (side - scaled) // self.step * self.step
                         for side, scaled in zip(run.image_shape[1:], sides(run, scale), strict=True))
        return whole_patches(run, height, width)
