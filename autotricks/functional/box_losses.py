"""Losses of boxes: what the tricks that compare edges have in common."""
from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..core.batch import Batch
from ..core.dense import Dense
from ..core.slots import Loss
from .assignment import middles

Distance = Callable[[Tensor, Tensor], Tensor]       # boxes found and true ones, both [N, 4] -> losses [N]


def with_boxes(inner: Loss, distance: Distance, weight: float) -> Loss:
    """Return `inner` and the mean distance of boxes at the objects' places, weighed by centerness.

    Args:
        inner: Loss of what is there.
        distance: Of boxes.
        weight: Of the distance.
    """
    def both(output: Tensor, batch: Batch) -> Tensor:
        said = Dense.of(output)
        targets = batch.targets
        assert targets.boxes is not None, "objects have boxes"
        places = said.places[0]
        counted = targets.shares * middles(targets, places)
        whole = batch.whole.targets
        total = counted if batch.whole is batch else whole.shares * middles(whole, places)
        apart = distance(said.boxes.flatten(0, 1), targets.boxes.flatten(0, 1)).view_as(counted)
        share = len(whole) / total.sum().clamp(min=1)
        return inner(output, batch) + weight * share * (apart * counted).sum(1)
    return both
