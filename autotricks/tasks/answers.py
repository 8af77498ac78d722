"""What a person is told of an image: classes with their probabilities, the most probable first."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.task import Answer


def rankings(probabilities: Tensor, classes: Sequence[str], topk: int) -> list[Answer]:
    """Return `class`, `probability`, `class_2`, `probability_2` and so on of each image, the most probable first.

    Of classes that are as probable, the first is the first of the data.

    Shapes:
        probabilities: [B, C].
    """
    ranked = probabilities.sort(dim=1, descending=True, stable=True)
    return [_ranking([classes[label] for label in labels], values) for labels, values in zip(
        ranked.indices[:, :topk].tolist(), ranked.values[:, :topk].tolist(), strict=True)]


def _ranking(names: Sequence[str], probabilities: Sequence[float]) -> Answer:
    row: Answer = {}
    for place, (name, probability) in enumerate(zip(names, probabilities, strict=True), start=1):
        suffix = f"_{place}" if place > 1 else ""
        row |= {f"class{suffix}": name, f"probability{suffix}": probability}
    return row
