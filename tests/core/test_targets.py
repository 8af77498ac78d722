"""Targets: labelled places with shares, by hand."""
import math

import pytest
import torch
from torch.testing import assert_close

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.functional.geometry import about_middle, forward, in_pixels, mirror, quarter_turn, shift, stretch


def boxed(*boxes):
    """One image with these boxes, of labels 0, 1, ..., with shares of 1."""
    count = len(boxes)
    return Targets(torch.arange(count).unsqueeze(0), torch.ones(1, count), torch.tensor([boxes], dtype=torch.float32))


def test_a_class_an_image_is_one_place_with_a_share_of_one():
    targets = Targets.plain(torch.tensor([2, 0]))
    assert targets.labels.tolist() == [[2], [0]] and targets.shares.tolist() == [[1.0], [1.0]]
    assert targets.single.tolist() == [2, 0] and targets.counts(4).tolist() == [1, 0, 1, 0] and len(targets) == 2


def test_what_is_no_single_label_says_so():
    with pytest.raises(AssertionError, match=r"\(2,\) places, not one"):
        _ = Targets(torch.zeros(3, 2, dtype=torch.int64), torch.ones(3, 2)).single


def test_places_without_a_share_do_not_count():
    targets = Targets(torch.tensor([[0, 1, 1], [1, 2, 0]]), torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    assert targets.counts(3).tolist() == [1, 2, 0]


def test_blending_keeps_each_label_with_its_share_and_its_box():
    targets = Targets(torch.tensor([[0], [1]]), torch.ones(2, 1), torch.tensor([[[0.0, 0, 1, 1]], [[2.0, 2, 3, 3]]]))
    both = targets.blend(torch.tensor([1, 0]), torch.tensor([0.75]))
    assert both.labels.tolist() == [[0, 1], [1, 0]] and both.shares.tolist() == [[0.75, 0.25]] * 2
    assert both.boxes.tolist() == [[[0, 0, 1, 1], [2, 2, 3, 3]], [[2, 2, 3, 3], [0, 0, 1, 1]]]


def test_stretches_and_rows_hold_all_columns():
    targets = Targets(torch.arange(10).view(5, 2), torch.rand(5, 2), torch.rand(5, 2, 4))
    pieces = targets.split([2, 3])
    assert [len(piece) for piece in pieces] == [2, 3]
    for name in ("labels", "shares", "boxes"):
        assert torch.equal(torch.cat([getattr(piece, name) for piece in pieces]), getattr(targets, name))
        assert torch.equal(getattr(targets[torch.tensor([4, 0])], name), getattr(targets, name)[[4, 0]])
        assert torch.equal(getattr(targets.repeated(2), name)[1::2], getattr(targets, name))
    assert [len(piece) for piece in Targets.plain(torch.zeros(0, dtype=torch.int64)).split(4)] == [0]


def test_the_loss_of_an_image_is_that_of_its_places_by_their_shares():
    targets = Targets(torch.zeros(2, 2, 2, dtype=torch.int64), torch.tensor([[[1.0, 0], [0, 2]], [[0.5, 0.5], [0, 0]]]))
    losses = torch.tensor([[[1.0, 9], [9, 10]], [[4, 6], [9, 9]]])
    assert Batch(torch.zeros(2, 1, 1, 1), targets, torch.arange(2)).mix(losses).tolist() == [21.0, 5.0]


@pytest.mark.parametrize(("matrices", "box"), [
    (shift(torch.tensor([2]), torch.tensor([-1])), (3, 1, 6, 4)),
    (mirror(torch.tensor([True]), 10), (6, 2, 9, 5)),
    (mirror(torch.tensor([False]), 10), (1, 2, 4, 5)),
    (quarter_turn(torch.tensor([1]), 10, 10), (2, 6, 5, 9)),      # counter-clockwise: the right side comes to the top
    (quarter_turn(torch.tensor([2]), 10, 10), (6, 5, 9, 8)),
    (stretch(torch.tensor([[2.0, 0.5]])), (2, 1, 8, 2.5)),
    (about_middle(torch.tensor([math.pi / 4]), 10, 10), None)])
def test_boxes_move_as_points_do(matrices, box):
    moved = boxed((1.0, 2.0, 4.0, 5.0)).warped(matrices, (10, 10))
    if box is None:     # a square of side 3 turned by 45 degrees has a hull of side 3 times the root of two
        left, top, right, bottom = moved.boxes[0, 0].tolist()
        assert right - left == pytest.approx(3 * math.sqrt(2), abs=1e-5) and bottom - top == pytest.approx(right - left)
    else:
        assert_close(moved.boxes[0, 0], torch.tensor(box, dtype=torch.float32), atol=1e-5, rtol=0)
    assert moved.shares.tolist() == [[1.0]]


def test_boxes_are_cut_at_the_border_and_those_that_leave_have_no_share():
    to_the_right = shift(torch.tensor([7]), torch.tensor([0]))
    moved = boxed((1.0, 1.0, 4.0, 4.0), (7.0, 1.0, 9.0, 3.0)).warped(to_the_right, (10, 10))
    assert moved.boxes[0, 0].tolist() == [8, 1, 10, 4] and moved.shares.tolist() == [[1.0, 0.0]]
    assert moved.labels.tolist() == [[0, 1]]


@pytest.mark.parametrize(("right", "down", "share"), [
    (-7, 0, 1), (-8, 0, 0), (0, -7, 1), (0, -8, 0),         # of a square of side 10, 3 or 2 columns or rows are left
    (-5, -5, 1), (-5, -6, 0), (15, 15, 1), (15, 16, 0),     # 5 x 5 and 5 x 4, at either corner
    (-10, 0, 0), (25, 0, 0), (10, 10, 1)])
def test_what_a_move_leaves_of_an_object_decides_whether_it_counts(right, down, share):
    """A quarter must be left of the box before; less stays where it is seen, to be ignored."""
    moved = boxed((0.0, 0.0, 10.0, 10.0)).warped(shift(torch.tensor([right]), torch.tensor([down])), (20, 20))
    assert moved.shares.tolist() == [[share]]
    edges = (right, down, right + 10, down + 10)
    assert moved.boxes[0, 0].tolist() == [min(max(edge, 0), 20) for edge in edges]


def test_what_has_become_narrower_than_half_a_pixel_is_ignored():
    targets = boxed((0.0, 0.0, 10.0, 100.0), (0.0, 0.0, 12.0, 12.0))
    assert targets.warped(stretch(torch.tensor([[0.05, 0.05]])), (10, 10)).shares.tolist() == [[0.0, 1.0]]


def test_an_object_counts_as_long_as_a_quarter_of_it_is_left_to_see():
    """Boxes of 4 x 4: 12 of 16 pixels are gone, 13, all, none; and one that reaches out of the image by a half."""
    gone = torch.zeros(1, 12, 12, dtype=torch.bool)
    gone[0, :4, :3] = True          # of the first 12
    gone[0, :4, 4:7] = True
    gone[0, 0, 7] = True            # of the second 13
    gone[0, 4:8, :4] = True
    gone[0, 10:, 10:] = True
    targets = boxed((0.0, 0, 4, 4), (4.0, 0, 8, 4), (0.0, 4, 4, 8), (4.0, 4, 8, 8), (10.0, 10, 14, 14), (0.0, 0, 0, 0))
    assert targets.erased(gone).shares.tolist() == [[1, 0, 0, 1, 0, 1]]
    assert torch.equal(targets.erased(gone).boxes, targets.boxes)
    assert targets.erased(torch.zeros_like(gone)).shares.tolist() == targets.shares.tolist()
    plain = Targets.plain(torch.tensor([1]))
    assert plain.erased(gone) is plain


def test_padding_stays_padding():
    targets = Targets(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[1.0, 0.0]]),
                      torch.tensor([[[1.0, 1, 2, 2], [0, 0, 5, 5]]]))
    assert targets.warped(shift(torch.tensor([1]), torch.tensor([1])), (10, 10)).shares.tolist() == [[1.0, 0.0]]


def test_the_matrices_of_a_sampling_grid_say_the_same_in_pixels():
    """A point is put through `affine_grid`'s own coordinates, which go from -1 to 1, by hand."""
    sources = torch.tensor([[[0.8, -0.3, 0.1], [0.2, 1.1, -0.4]]])
    height, width = 6, 10
    x, y = 7.0, 2.5
    u, v = 2 * x / width - 1, 2 * y / height - 1
    from_u, from_v = 0.8 * u - 0.3 * v + 0.1, 0.2 * u + 1.1 * v - 0.4
    expected = torch.tensor([(from_u + 1) * width / 2, (from_v + 1) * height / 2])
    found = in_pixels(sources, height, width) @ torch.tensor([x, y, 1.0])
    assert_close(found[0], expected)
    back = forward(in_pixels(sources, height, width)) @ torch.cat([expected, torch.ones(1)])
    assert_close(back[0], torch.tensor([x, y]))
