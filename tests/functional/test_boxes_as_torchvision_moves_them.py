"""Boxes after a move against torchvision's, which has a function for each operation; those cut off are left to ours."""
import math

import pytest
import torch
from torch.testing import assert_close
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from autotricks.core.targets import Targets
from autotricks.functional.affine import Motion
from autotricks.functional.geometry import forward, in_pixels, mirror, quarter_turn, shift, stretch
from autotricks.tricks.augment.random_affine import sources

HEIGHT, WIDTH, COUNT = 40, 60, 50


def boxes():
    """Boxes anywhere in an image, [1, COUNT, 4]."""
    chance = torch.Generator().manual_seed(0)
    sides = torch.tensor([WIDTH, HEIGHT]) * (0.1 + 0.3 * torch.rand(COUNT, 2, generator=chance))
    corners = (torch.tensor([WIDTH, HEIGHT]) - sides) * torch.rand(COUNT, 2, generator=chance)
    return torch.cat([corners, corners + sides], 1).unsqueeze(0)


def theirs():
    return tv_tensors.BoundingBoxes(boxes()[0], format="XYXY", canvas_size=(HEIGHT, WIDTH))


def motion(degrees, scale, right, down):
    one = torch.ones(1)
    turned = Motion(one * math.radians(degrees), one * scale, one, torch.tensor([[float(right), float(down)]]))
    return forward(in_pixels(sources(turned, torch.zeros(1, 1, HEIGHT, WIDTH)), HEIGHT, WIDTH))


@pytest.mark.parametrize(("matrices", "size", "move"), [
    (mirror(torch.tensor([True]), WIDTH), (HEIGHT, WIDTH), v2.horizontal_flip),
    (quarter_turn(torch.tensor([2]), HEIGHT, WIDTH), (HEIGHT, WIDTH), lambda box: v2.rotate(box, 180)),
    (stretch(torch.tensor([[1.5, 0.75]])), (30, 90), lambda box: v2.resize(box, [30, 90])),
    (shift(torch.tensor([-7]), torch.tensor([5])), (HEIGHT, WIDTH), lambda box: v2.crop(box, -5, 7, HEIGHT, WIDTH)),
    (motion(20, 1.1, 6, -4), (HEIGHT, WIDTH), lambda box: v2.affine(box, -20, [6, -4], 1.1, [0.0, 0.0])),
    (motion(-75, 0.6, 0, 3), (HEIGHT, WIDTH), lambda box: v2.affine(box, 75, [0, 3], 0.6, [0.0, 0.0]))])
def test_boxes_go_where_torchvision_has_them(matrices, size, move):
    """A share of 1 where at least a quarter of the moved box, before it is cut, lies in the image."""
    targets = Targets(torch.zeros(1, COUNT, dtype=torch.int64), torch.ones(1, COUNT), boxes())
    found = targets.warped(matrices, size)
    expected = v2.clamp_bounding_boxes(move(theirs()), clamping_mode="hard").as_subclass(torch.Tensor)
    assert_close(found.boxes[0], expected, atol=2e-4, rtol=0)
    far = torch.cat([matrices[0, :, :2], matrices[0, :, 2:] + 1000], 1).unsqueeze(0)       # where nothing is cut
    whole = targets.warped(far, (3000, 3000)).boxes[0]
    left = (expected[:, 2:] - expected[:, :2]).prod(1) / (whole[:, 2:] - whole[:, :2]).prod(1)
    assert torch.equal(found.shares[0] > 0, left >= 0.25)
