"""Which place is to find which object, as the trick `center_sampling` has it."""
import math

import pytest
import torch

from autotricks.core.dense import Dense
from autotricks.core.targets import Targets
from autotricks.functional.assignment import center_sampled, centerness, with_places
from tests.tricks.dense import pieces, places, said, scenes


def found(boxes, shares=None, radius=1.5, strides=(4, 8)):
    """Which object each place is to find, by (x, y, stride): its number among those of one image."""
    count = len(boxes)
    targets = Targets(torch.arange(count)[None], torch.tensor([shares or [1.0] * count]), torch.tensor([boxes]).float())
    where = places(strides)
    given = center_sampled(targets, where, radius)
    return {tuple(place): int(label) for place, label, share in
            zip(where.tolist(), given.labels[0], given.shares[0], strict=True) if share > 0}


def test_places_near_the_middle_of_an_object_within_it():
    # Its longer side, 16, is nearest eight times a stride of 4. Within 1.5 * 4 of the middle (16, 16) lie 14 and 18.
    assert found([[8, 8, 24, 24]]) == {(x, y, 4.0): 0 for x in (14.0, 18.0) for y in (14.0, 18.0)}


def test_a_radius_in_strides():
    assert len(found([[8, 8, 24, 24]], radius=0.5)) == 0        # 2 pixels from the middle to the nearest place
    assert len(found([[8, 8, 24, 24]], radius=0.51)) == 4
    assert len(found([[8, 8, 24, 24]], radius=9)) == 16         # all of the box


def test_a_thin_object_has_the_places_within_it_alone():
    assert found([[8, 13, 24, 15]]) == {(x, 14.0, 4.0): 0 for x in (14.0, 18.0)}


@pytest.mark.parametrize(("side", "stride"), [(6, 4), (16, 4), (33, 4), (34, 8), (62, 8)])
def test_the_level_whose_stride_is_nearest_a_sixth_of_the_longer_side(side, stride):
    # The border lies at 6 * sqrt(4 * 8) = 33.9.
    given = found([[0, 0, side, side]], radius=9)
    assert given and {place[2] for place in given} == {stride}


def test_the_smaller_of_two_strides_that_are_as_near():
    assert {place[2] for place in found([[0, 0, 48, 48]], radius=9, strides=(4, 16))} == {4.0}


def test_the_smallest_of_several():
    given = found([[8, 8, 24, 24], [12, 12, 20, 20], [8, 8, 23, 23]], radius=9)
    inner = {place for place, number in given.items() if number == 1}
    assert inner == {(x, y, 4.0) for x in (14.0, 18.0) for y in (14.0, 18.0)}
    assert {number for place, number in given.items() if place not in inner} == {2}


def test_padding_and_what_is_ignored_have_no_place():
    assert found([[8, 8, 24, 24], [12, 12, 20, 20], [0, 0, 0, 0]], [1.0, 0.0, 0.0]) == found([[8, 8, 24, 24]])


def test_a_share_goes_with_its_object():
    targets = Targets(torch.tensor([[2]]), torch.tensor([[0.3]]), torch.tensor([[[8.0, 8, 24, 24]]]))
    given = center_sampled(targets, places(), 1.5)
    assert given.shares[given.shares > 0].tolist() == pytest.approx([0.3] * 4)
    assert given.labels[given.shares > 0].tolist() == [2] * 4


def test_centerness_by_hand():
    box = torch.tensor([0.0, 0, 8, 4])
    points = torch.tensor([[4.0, 2], [2, 2], [4, 1], [2, 1], [0, 2]])
    assert centerness(box, points).tolist() == pytest.approx([1, math.sqrt(1 / 3), math.sqrt(1 / 3), 1 / 3, 0])


def test_the_whole_batch_of_a_piece_has_places_too():
    batch, output = scenes(), said().output()
    whole = with_places(batch, Dense.of(output).places[0], 1.5)
    for piece, part in pieces(batch, output, 2):
        placed = with_places(piece, Dense.of(part).places[0], 1.5)
        assert torch.equal(placed.whole.targets.shares, whole.targets.shares) and placed.targets.shares.shape[0] == 2
