"""PCA color: shift the colors of each image along the principal components of the data's colors."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.images import Images
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick

COVARIANCE = "pca_color.covariance"
CHUNK = 1024        # images at a time


def color_covariance(images: Images) -> Tensor:
    """Return the covariance of the channels over all pixels, in units of [0, 1].

    Shapes:
        images: [N, D, H, W], uint8.
        returns: [D, D].
    """
    depth = images.shape[1]
    total = torch.zeros(depth, dtype=torch.float64, device=images.device)
    products = torch.zeros(depth, depth, dtype=torch.float64, device=images.device)
    for part in images.split(CHUNK):
        pixels = part.movedim(1, 0).flatten(1).double() / 255
        total += pixels.sum(1)
        products += pixels @ pixels.T
    mean = total / (images.numel() / depth)
    count = images.numel() / depth
    return (products / count - torch.outer(mean, mean)).float()


class PcaColor(Trick):
    """Add to all pixels of an image the same color: principal components p of the data's colors, times alpha lambda.

    lambda are their variances, with values in [0, 1], and each alpha is drawn from N(0, sigma^2) for each image. Images
    of one channel are made brighter or darker. `color_jitter` does much the same.

    Paper: Krizhevsky et al. 2012, https://doi.org/10.1145/3065386, section 4.1.
    Cost: one pass over the training images when the window opens; one over the batch.
    Deviates: The sum of p alpha lambda has the same distribution as the covariance matrix times D numbers from
        N(0, sigma^2), so no components are computed. Values are cut to [0, 1].
    """

    seats = {Slot.AUGMENT: "color"}
    sigma: float = tunable(0.1, search=Float(0.05, 0.2), legal=at_least(0), unit="times the variance of a component")

    def enter(self, run: Run) -> None:
        """Note the covariance of the training images' colors."""
        run.memory[COVARIANCE] = color_covariance(run.images)

    def leave(self, run: Run) -> None:
        """Forget it."""
        run.memory.pop(COVARIANCE, None)

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what shifts the colors of each image of a batch."""
        covariance = run.memory[COVARIANCE]

        def shifted(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            draws = torch.randn(len(images), len(covariance), generator=run.generator, device=run.device)
            return batch.painted((images + (self.sigma * draws @ covariance)[:, :, None, None]).clamp(0, 1))
        return shifted
