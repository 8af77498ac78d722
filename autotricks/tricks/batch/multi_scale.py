"""Multi-scale: train every batch at a size of its own."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.resizing import at_size, require_size, sides, whole_patches


def scales(smallest: float, largest: float) -> list[float]:
    """Return the eighths from `smallest` to `largest`; `smallest` alone where there is none."""
    factors = [eighths / 8 for eighths in range(1, int(largest * 8) + 1) if eighths >= smallest * 8]
    return factors or [smallest]


class MultiScale(Trick):
    """Resize each batch; its scale is any of the eighths from `smallest` to `largest`, each as likely.

    The model is evaluated at the images' own size; `inference_resolution` changes that. With both scales alike it
    trains at one other size: 176 pixels where 224 are evaluated brought 0.16 points in PyTorch's recipe for ImageNet,
    after Touvron et al. 2019, https://arxiv.org/abs/1906.06423.

    Paper: Redmon and Farhadi 2017, https://arxiv.org/abs/1612.08242, section 3, multi-scale training.
    Cost: that of the model changes with the square of the scale, as does memory, whose peak the largest sets. Each size
        is planned anew by what tunes or compiles kernels by shape.
    Deviates: A new size with each batch; the paper changes it after ten. It is drawn on the host, from the run's seed
        and the number of the step, because to read it from the device would wait.

    Raises:
        ModelError: When the model takes images of one size only.
    """

    seats = {Slot.BATCH: "resize"}
    provides = frozenset({Trait.RESIZES})
    smallest: float = tunable(0.75, search=Float(0.5, 1.0, step=0.125), legal=Above(0), unit="times the image's side")
    largest: float = tunable(1.25, search=Float(1.0, 1.5, step=0.125), legal=Above(0), unit="times the image's side")

    def check(self, run: Run) -> None:
        """Refuse a model that cannot take images of each size."""
        self._sizes(run)

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what resizes each batch."""
        sizes = self._sizes(run)
        seeded = torch.Generator().manual_seed(run.generator.initial_seed())
        drawn = torch.randint(len(sizes), (run.steps + 1,), generator=seeded).tolist()

        def scaled(batch: Batch) -> Batch:
            batch = inner(batch)
            return at_size(batch, *sizes[drawn[round(run.progress * run.steps)]])
        return scaled

    def _sizes(self, run: Run) -> list[tuple[int, int]]:
        """Return the sizes that batches may have."""
        found = {sides(run, scale) for scale in scales(self.smallest, self.largest)}
        sizes = sorted({whole_patches(run, *size) for size in found})
        for size in sizes:
            require_size(run, *size, self.name)
        return sizes
