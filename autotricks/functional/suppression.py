"""Suppression: of several boxes on one object all but the likeliest are left out, or made less likely."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.dense import Dense
from ..core.slots import Output, Predict
from .boxes import within
from .repetition import repeated

MOST = 100          # objects of an image that are left, as COCO counts them
LOWEST = -1e4       # a logit of which the probability is 0
EPS = 1e-7
Decay = Callable[[Tensor], Tensor]      # overlaps with what was chosen, [B, K] -> factors of the scores, [B, K]


def suppressed(scores: Tensor, boxes: Tensor, labels: Tensor, decay: Decay, count: int) -> tuple[Tensor, Tensor]:
    """Choose the likeliest box again and again, and make those of its class that lie over it less likely.

    All images go together, and the number of rounds is fixed: nothing waits for the device, and a graph can hold it.

    Args:
        scores: Of each box, not negative.
        boxes: Left, top, right, bottom in pixels.
        labels: Class of each box.
        decay: What becomes of scores, by the overlap with what was just chosen.
        count: How many boxes are chosen, R.

    Shapes:
        scores: [B, K].
        boxes: [B, K, 4].
        labels: [B, K], int64.
        returns: Scores as they were when each was chosen, and its place, both [B, R]; 0 where none was left.
    """
    edges = [edge.contiguous() for edge in boxes.unbind(2)]
    size = _shared(edges, edges)

    def chosen(scores: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        best, place = scores.max(1, keepdim=True)
        alike = labels == labels.gather(1, place)
        shared = _shared(edges, [edge.gather(1, place) for edge in edges]) * alike
        overlap = shared / (size + size.gather(1, place) - shared).clamp(min=EPS)
        return (scores * decay(overlap)).scatter(1, place, 0.0), (best, place)
    kept, places = repeated(chosen, scores, count)
    return kept.squeeze(2).T, places.squeeze(2).T


def _shared(edges: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Return the area that each two boxes share: edges are left, top, right and bottom, [B, K], others' also [B, 1]."""
    left, top, right, bottom = edges
    far_left, far_top, far_right, far_bottom = others
    width = (torch.minimum(right, far_right) - torch.maximum(left, far_left)).clamp(min=0)
    height = (torch.minimum(bottom, far_bottom) - torch.maximum(top, far_top)).clamp(min=0)
    return width * height


def with_suppression(inner: Predict, decay: Decay, looked: int) -> Predict:
    """Return `inner` with at most 100 boxes of each image, cut at its border, each of one class and likeliest first.

    Args:
        inner: Says what is at each place.
        decay: See `suppressed`.
        looked: How many boxes of an image are looked at, the likeliest.
    """
    def chosen(images: Tensor) -> Output:
        return few(Dense.of(inner(images)), decay, looked, (images.shape[-2], images.shape[-1])).output()
    return chosen


def few(said: Dense, decay: Decay, looked: int, size: tuple[int, int]) -> Dense:
    """Return the likeliest boxes, [B, R], of which each has one class: its logits of all others are the lowest.

    What lies beyond an image of `size`, height and width, is cut off: nothing that is to be found lies there.

    A score that decayed is written as a lower logit of the class, so that whoever reads it finds the score.
    """
    classes = said.logits.shape[2]
    scores, order = said.scores().flatten(1).topk(min(looked, said.logits[0].numel()), 1)
    labels = order % classes
    rows = order // classes
    boxes = within(_rows(said.boxes, rows), *size)
    kept, places = suppressed(scores, boxes, labels, decay, min(MOST, scores.shape[1]))
    rows = rows.gather(1, places)
    labels = labels.gather(1, places)
    middle = said.centerness.gather(1, rows)
    probability = kept / middle.sigmoid().clamp(min=EPS)
    own = probability.clamp(EPS, 1 - EPS).logit()
    logits = torch.full_like(own, LOWEST).unsqueeze(2).repeat(1, 1, classes)
    logits = logits.scatter(2, labels.unsqueeze(2), torch.where(kept > 0, own, LOWEST).unsqueeze(2))
    return Dense(logits, middle, _rows(boxes, places), _rows(said.places, rows))


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """Return some rows of each image, [B, R, D], from [B, A, D] and [B, R]."""
    return values.gather(1, rows.unsqueeze(2).expand(-1, -1, values.shape[2]))
