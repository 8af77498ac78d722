"""What is said of boxes, against boxes whose sizes, shapes, crowds and clusters were chosen."""
import numpy as np
import pytest
import torch

from autotricks.data.objects import Objects, about


def squares(*sides):
    """Squares of these sides, apart from one another; they begin at whole numbers, beside which no side is rounded."""
    lefts = np.cumsum([0, *np.ceil(sides[:-1])]) if sides else []
    return torch.tensor([[left, 0, left + side, side] for left, side in zip(lefts, sides, strict=True)],
                        dtype=torch.float32).view(-1, 4)


def test_sizes_are_cut_where_coco_cuts_them():
    found = about({"train": [Objects(squares(7.9, 8, 31.9)), Objects(squares(32, 96, 96.1))],
                   "test": [Objects(squares()), Objects(squares(5))]})
    assert found["sizes"] == {"train": {"tiny": 1, "small": 3, "medium": 2, "large": 1},
                              "test": {"tiny": 1, "small": 1, "medium": 0, "large": 0}}
    assert found["count"] == 7 and found["empty"] == {"train": 0, "test": 1}
    assert found["crowd"] == pytest.approx(np.quantile([3, 3, 0, 1], [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    assert found["sides"][0] == 5 and found["sides"][3] == pytest.approx(31.9) and found["sides"][-1] == \
        pytest.approx(96.1)


def test_shapes_are_width_over_height():
    wide = torch.tensor([[0, 0, 40, 10], [0, 0, 10, 40], [0, 0, 20, 20]], dtype=torch.float32)
    assert about({"train": [Objects(box[None]) for box in wide]})["shapes"] == pytest.approx(
        [0.25, 0.325, 0.625, 1, 2.5, 3.7, 4])


@pytest.mark.parametrize(("second", "hidden"), [
    ([4.9, 0, 14.9, 10], 2), ([5.1, 0, 15.1, 10], 0),       # .51 and .49 of each lie in the other
    ([2, 2, 6, 6], 1)])                                     # one within the other: the smaller one is covered
def test_hidden_is_what_another_box_covers_by_more_than_a_half(second, hidden):
    pair = torch.tensor([[0, 0, 10, 10], second], dtype=torch.float32)
    assert about({"train": [Objects(pair), Objects(squares(9, 9))]})["hidden"] == hidden / 4
    assert about({"train": [Objects(pair[:1]), Objects(pair[1:])]})["hidden"] == 0, "of one image"


def test_ignored_objects_count_as_such_alone():
    found = about({"train": [Objects(squares(10, 20, 300), (False, True, True)), Objects(squares(40), (True,))]})
    assert (found["count"], found["ignored"], found["empty"]) == (1, 3, {"train": 1})
    assert found["sizes"] == {"train": {"tiny": 0, "small": 1, "medium": 0, "large": 0}}
    assert found["sides"] == [10] * 7


def test_anchors_are_the_sizes_that_were_put_in():
    """Five sizes, ten boxes of each: the mean overlap with the nearest is whole."""
    sides = (6.0, 12, 25, 50, 100)
    found = about({"train": [Objects(squares(*sides))] * 10})["anchors"]
    assert np.allclose(found["sizes"], [[side, side] for side in sides]) and found["overlap"] == 1


@pytest.mark.parametrize(("fit", "boxes", "vanished"), [
    ("pad", [[0, 12.5, 5, 17.5], [45, 12.5, 50, 37.5]], 0),     # half as large, and 12.5 lower
    ("squash", [[0, 0, 5, 10], [45, 0, 50, 50]], 0),
    ("crop", [[0, 0, 0, 10], [50, 0, 50, 50]], 2)])             # the middle half alone is left
def test_boxes_are_those_that_the_model_sees(fit, boxes, vanished):
    """An image of 100 x 50 with a box at each side, brought to 50 x 50."""
    whole = Objects(torch.tensor([[0, 0, 10, 10], [90, 0, 100, 50]], dtype=torch.float32))
    brought = whole.brought((100, 50), 50, fit)
    low = np.array(boxes)
    if fit == "pad":
        low[:, 1] = np.floor(low[:, 1])     # on whole pixels
        low[:, 3] = low[:, 1] + [5, 25]
    assert brought.boxes.numpy() == pytest.approx(low)
    assert about({"train": [brought]})["vanished"] == vanished
    assert whole.brought((100, 50), None, fit) is whole


def test_nothing_at_all_has_no_figures():
    found = about({"train": [Objects(squares())]})
    assert found["count"] == found["hidden"] == 0 and found["sides"] == found["shapes"] == []
    assert found["anchors"] == {"sizes": [], "overlap": None}
