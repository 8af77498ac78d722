import pytest
import torch

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
