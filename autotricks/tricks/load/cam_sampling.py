"""CAM-based sampling: synthesize images of rare classes by moving the foreground over its own background."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Above, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Load, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Advice, Trick
from ...functional.affine import synthesized, synthetic_fraction
from ...nn.activation_maps import foreground, training_maps

MAPS = "cam_sampling.maps"


class CamSampling(Trick):
    """Replace images of rare classes by versions whose foreground is turned and scaled, shifted or mirrored.

    The foreground is where the activation map of the true class is at least `threshold` times its mean; the background
    stays. Maps are those of the model when the window opens; a norm between the averages of its maps and the classifier
    is put into them, so that a map averages to the logit. Of a class with n images the share (n_max + n_min - n) /
    (n_max + n_min) is replaced, as if the images that its n lack were added. How often a class is drawn is the
    sampler's to say: beside `class_balanced`, `square_root` or `progressive` in the same window this is the paper's
    CAM-based balanced, square-root or progressive sampling; beside `instance` it is a variant that the paper has not.
    Where left and right mean something, set `mirrors: false`.

    Paper: Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT, CAM-based sampling.
    Cost: a forward pass over the training images when the window opens, and two bytes for each pixel of their last
        maps, in float16: finer than the 256 steps of the authors' code. In a step one sampling of the images, which is
        computed for those not replaced too.
    Deviates: Images are made anew each time they are drawn, where the authors make each once and store it; nothing is
        compressed, and classes of large data sets have no limit. The mean is taken times 0.75, as in their code; their
        text has it plain. Their code means to shift the foreground as far as its box stays inside the image, which was
        nowhere for two of five images of CIFAR-10, and misses the box; here shifts are up to a quarter of the side.
        Black pixels are moved like any other; to their code, a zero is nothing to paste.

    Raises:
        ModelError: When the model does not classify the averages of feature maps, or a norm of them, linearly.
    """

    seats = {Slot.LOAD: "synthesis"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    advice = (Advice(
        Trait.ALTERS_FEATURES, "its activation maps are those of plain averages of feature maps, so they are no longer "
        "exact", "Zhou et al. 2016, https://arxiv.org/abs/1512.04150, section 2"), Advice(
        Trait.REWEIGHTS, "rare classes are then both synthesized and weighed more; cost-sensitive cross-entropy made "
        "CAM-based sampling worse", "Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT"),)
    opens = 0.8
    threshold: float = tunable(0.75, search=Float(0.5, 1.25), legal=Above(0), unit="times the mean of a map")
    mirrors: bool = tunable(True, search=Choice(True, False))

    def check(self, run: Run) -> None:
        """Refuse a model without maps of its classes."""
        training_maps(run, first=2)

    def enter(self, run: Run) -> None:
        """Note the activation maps of all training images."""
        run.memory[MAPS] = training_maps(run)

    def leave(self, run: Run) -> None:
        """Forget the maps."""
        run.memory.pop(MAPS, None)

    def load(self, inner: Load, run: Run) -> Load:
        """Return what loads images and replaces some."""
        fractions = synthetic_fraction(run.counts)

        def resampled(rows: Tensor) -> Tensor:
            images = inner(rows)
            inside = foreground(run.memory[MAPS][rows], images.shape[2], images.shape[3], self.threshold)
            return synthesized(images, inside, fractions[run.targets.single[rows]], run.generator, self.mirrors)
        return resampled
