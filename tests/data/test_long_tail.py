import numpy as np
import pytest
import torch

from autotricks.core.targets import Targets
from autotricks.data import long_tail
from autotricks.errors import DataError


def labels_of(*counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def test_published_sizes_of_cifar10():
    assert long_tail.sizes(5000, 10, 100) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize(("largest", "classes", "factor", "total"), [
    (5000, 10, 100, 12406), (5000, 10, 50, 13996), (500, 100, 100, 10847), (500, 100, 50, 12608)])
def test_published_totals(largest, classes, factor, total):
    assert sum(long_tail.sizes(largest, classes, factor)) == total


def test_a_whole_number_is_not_missed_by_a_hair():
    assert long_tail.sizes(80, 6, 32) == [80, 40, 20, 10, 5, 2]  # 32 ** (4 / 5) is a hair more than 16


def test_a_factor_of_one_is_balance():
    assert long_tail.sizes(7, 4, 1) == [7, 7, 7, 7]


def test_rows_have_the_sizes_and_the_largest_class_sets_the_scale():
    labels = labels_of(60, 100, 100)
    kept = long_tail.rows(labels, 4, seed=0)
    assert torch.bincount(labels[kept]).tolist() == [60, 50, 25]  # the first class has fewer than its 100
    assert kept.tolist() == sorted(set(kept.tolist()))


def test_rows_are_drawn_with_the_seed():
    labels = labels_of(50, 50)
    draws = [long_tail.rows(labels, 5, seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][50:] != list(range(50, 60))  # not simply the first ones


def test_refuses_a_factor_that_empties_a_class():
    assert torch.bincount(labels_of(30, 30)[long_tail.rows(labels_of(30, 30), 30, 0)]).tolist() == [30, 1]
    with pytest.raises(DataError, match=r"data.imbalance: 31 .* Set data.imbalance to 30 or less"):
        long_tail.rows(labels_of(30, 30), 31, 0)


def test_images_of_one_box_each_have_exactly_the_sizes():
    labels = labels_of(60, 100, 100, 90)
    rows = long_tail.image_rows(Targets.sets([[label] for label in labels.tolist()]), 4, 10, seed=0)
    assert torch.bincount(labels[rows]).tolist() == [60, *long_tail.sizes(100, 4, 10)[1:]] == [60, 46, 21, 10]
    assert rows.tolist() == sorted({*rows.tolist()})


def test_boxes_come_near_the_sizes_and_no_other_image_helps():
    draw = np.random.RandomState(0)
    boxes = [draw.randint(0, 5, draw.randint(0, 6)).tolist() for _ in range(400)]
    targets = Targets.sets(boxes)
    rows = long_tail.image_rows(targets, 5, 20, seed=0)
    counts = np.stack([np.bincount(image, minlength=5) for image in boxes])
    wanted = np.array(long_tail.sizes(counts.sum(0).max(), 5, 20))
    size = np.minimum(wanted, counts.sum(0))
    kept = counts[rows.numpy()]

    def gap(total):
        return float(((total / size - 1) ** 2).sum())
    assert gap(kept.sum(0)) < 0.7 * gap(counts.sum(0))
    assert all(gap(kept.sum(0) - image) >= gap(kept.sum(0)) - 1e-9 for image in kept)
    assert {row for row, image in enumerate(boxes) if not image} <= {*rows.tolist()}        # background stays
    assert (kept.sum(0) > 0).all() and (np.diff(kept.sum(0)) < 0).all()


def test_ignored_boxes_do_not_count():
    targets = Targets.sets([[0]] * 8 + [[1]] * 8, None, [[False]] * 8 + [[False]] * 4 + [[True]] * 4)
    rows = long_tail.image_rows(targets, 2, 4, seed=0)
    assert targets[rows].counts(2).tolist() == [8, 2] and len(rows) == 8 + 2 + 4


def test_boxes_are_drawn_with_the_seed_and_a_class_is_never_emptied():
    targets = Targets.sets([[label] for label in labels_of(50, 50).tolist()])
    draws = [long_tail.image_rows(targets, 2, 5, seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    one = Targets.sets([[0, 0, 0, 0, 1, 1, 1, 1]])
    assert long_tail.image_rows(one, 2, 4, seed=0).tolist() == [0]
    with pytest.raises(DataError, match=r"data\.imbalance: 9 leaves the smallest class without boxes; the largest"):
        long_tail.image_rows(one, 2, 9, seed=0)
