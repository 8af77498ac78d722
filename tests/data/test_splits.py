import numpy as np
import pytest
import torch

from autotricks.core.targets import Targets
from autotricks.data.splits import hold_out, require, shuffled, strata
from autotricks.errors import DataError

LABELS = torch.tensor([1, 0, 2, 0, 1, 0, 0, 2, 0, 1, 0, 0, 1, 0])  # 8, 4 and 2 images


@pytest.mark.parametrize(("fraction", "counts"), [(0.25, [2, 1, 1]), (0.5, [4, 2, 1]), (0.01, [1, 1, 1]),
                                                  (0.99, [7, 3, 1]), (0.2, [2, 1, 1])])
def test_each_class_gives_its_fraction_at_least_one_and_never_all(fraction, counts):
    stay, out = hold_out(LABELS, fraction, seed=3)
    assert torch.bincount(LABELS[out]).tolist() == counts
    assert sorted(stay.tolist() + out.tolist()) == list(range(len(LABELS)))
    assert stay.tolist() == sorted(stay.tolist()) and out.tolist() == sorted(out.tolist())


def test_the_seed_decides():
    labels = torch.arange(2).repeat(100)
    draws = [hold_out(labels, 0.5, seed)[1].tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_the_draw_is_numpys_frozen_generator():
    expected = np.flatnonzero(LABELS.numpy() == 1)[np.random.RandomState([7, 1]).permutation(4)]
    assert shuffled(LABELS, 7)[1].tolist() == expected.tolist()


def test_every_image_is_held_out_equally_often():
    labels = torch.tensor([0] * 10 + [1] * 10)
    times = torch.zeros(20)
    for seed in range(400):
        times[hold_out(labels, 0.3, seed)[1]] += 1
    # 400 draws with chance 0.3: mean 120, deviation 9.2; five deviations
    assert times.min() > 74 and times.max() < 166


def test_refuses_classes_too_small_to_cut_and_names_them():
    require(Targets.plain(torch.tensor([0, 0, 0, 1, 1, 1])), ("cat", "dog"), ["test", "validation"])
    with pytest.raises(DataError, match=r"test and validation in classes 'cat' \(2\), 'eel' \(1\); each class needs 3"):
        require(Targets.plain(torch.tensor([0, 0, 1, 1, 1, 2])), ("cat", "dog", "eel"), ["test", "validation"])


def test_several_labels_are_drawn_by_the_rarest_and_none_is_a_class_of_its_own():
    targets = Targets.sets([[0], [0, 1], [], [2, 0], [1, 2], [0, 1], []])
    assert targets.counts(4).tolist() == [4, 3, 2, 0]
    assert strata(targets, 4).tolist() == [0, 1, 3, 2, 2, 1, 3]
    assert strata(Targets.plain(torch.tensor([2, 0, 1, 0])), 3).tolist() == [2, 0, 1, 0]
