"""Grid shuffle: cut each image into tiles and put them together in another order."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def shuffled(images: Tensor, orders: Tensor, grid: int) -> Tensor:
    """Return the images with tile number `orders[:, k]` at place k, row by row.

    Where the sides cannot be divided, the last rows and columns stay.

    Shapes:
        images: [B, D, H, W].
        orders: [B, grid^2], int64.
    """
    height, width = images.shape[-2:]
    tall = height // grid
    broad = width // grid
    inner = images[:, :, :grid * tall, :grid * broad]
    tiles = inner.unflatten(3, (grid, broad)).unflatten(2, (grid, tall)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    tiles = tiles[torch.arange(len(images), device=images.device).unsqueeze(1), orders]
    result = images.clone()
    result[:, :, :grid * tall, :grid * broad] = tiles.unflatten(1, (grid, grid)).permute(0, 3, 1, 4, 2, 5).reshape(
        inner.shape)
    return result


class GridShuffle(Trick):
    """Cut some images into `grid` x `grid` tiles and put them together in a random order.

    What is left to see is local: texture and parts, which is what tells fine-grained classes apart. Where the sides
    cannot be divided, a rest of rows and columns stays in place.

    Paper: the jigsaw patches of Du et al. 2020, https://arxiv.org/abs/2003.03836, section 3; as an augmentation by
        itself Wei et al. 2020, https://arxiv.org/abs/2012.14672.
    Cost: two copies of the images.
    Deviates: It is the shuffle alone; the first paper trains each stage of the network on tiles of its own size.
    """

    seats = {Slot.AUGMENT: "erase"}
    excludes_data = frozenset({DataTrait.BOXES})     # which tiles would cut
    grid: int = tunable(4, search=Choice(2, 3, 4, 6, 8), legal=Between(1, 64), unit="tiles a side")
    probability: float = tunable(0.2, search=Float(0.05, 0.5), legal=Between(0, 1), unit="of an image to be shuffled")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what shuffles the tiles of some images of a batch."""
        straight = torch.arange(self.grid ** 2, device=run.device)

        def jumbled(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            chances = torch.rand(len(images), self.grid ** 2, generator=run.generator, device=run.device)
            chosen = torch.rand(len(images), 1, generator=run.generator, device=run.device) < self.probability
            return batch.painted(shuffled(images, torch.where(chosen, chances.argsort(1), straight), self.grid))
        return jumbled
