"""Anchors: the clusters that were put in come out, and the distance is the overlap of boxes with one middle."""
import pytest
import torch
from torchvision.ops import box_iou

from autotricks.functional.anchors import anchors, shared

CLUSTERS = torch.tensor([[8.0, 8.0], [10.0, 40.0], [44.0, 12.0], [60.0, 60.0]])


def test_shared_is_the_overlap_of_boxes_around_one_point():
    sizes = torch.rand(7, 2, generator=torch.Generator().manual_seed(0)) * 50 + 1
    around = [torch.cat([-pair / 2, pair / 2], 1) for pair in (sizes, CLUSTERS)]
    torch.testing.assert_close(shared(sizes, CLUSTERS), box_iou(*around))


@pytest.mark.parametrize("seed", range(5))
def test_known_clusters_are_found(seed):
    """Boxes within 5 % around four sizes: each mean is that of its own boxes, wherever k-means begins."""
    generator = torch.Generator().manual_seed(1)
    boxes = CLUSTERS.repeat_interleave(50, 0) * (0.95 + 0.1 * torch.rand(200, 2, generator=generator))
    found, mean = anchors(boxes, 4, seed)
    torch.testing.assert_close(found, boxes.view(4, 50, 2).double().mean(1))
    own = torch.stack([shared(part, means[None])[:, 0] for part, means in zip(
        boxes.view(4, 50, 2).double(), found, strict=True)])
    assert mean == pytest.approx(float(own.mean())) and mean > 0.9


def test_overlap_counts_and_not_distance():
    """(40, 40) is nearer to (60, 60) than (5, 5) to (20, 20) in share, and farther in pixels: 4/9 against 1/16."""
    boxes = torch.tensor([[5.0, 5.0], [20.0, 20.0], [40.0, 40.0], [60.0, 60.0]]).repeat(10, 1)
    found, _ = anchors(boxes, 3)
    assert found.tolist() == [[5, 5], [20, 20], [50, 50]], "squared pixels would join 5 and 20"


def test_fewer_sizes_than_anchors_are_all_of_them():
    found, mean = anchors(torch.tensor([[9.0, 3.0], [2.0, 2.0], [9.0, 3.0]]), 5)
    assert (found.tolist(), mean) == ([[2, 2], [9, 3]], 1.0)


def test_more_anchors_share_more():
    boxes = torch.rand(300, 2, generator=torch.Generator().manual_seed(2)) * 90 + 5
    means = [anchors(boxes, count)[1] for count in (1, 2, 4, 8, 16)]
    assert means == sorted(means) and means[-1] - means[0] > 0.2
