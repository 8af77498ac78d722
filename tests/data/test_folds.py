from dataclasses import replace

import pytest
import torch

from autotricks.core.dataset import Fold, Split
from autotricks.core.targets import Targets
from autotricks.data.folds import dealt, grouped, with_folds
from autotricks.errors import DataError
from autotricks.tuning.engines.rung_training import arrays, from_arrays
from tests.conftest import make_dataset

from .test_groups import drawn


def with_labels(counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def marked(split, first):
    """The split with images that are all of one value, its row counted from `first`."""
    return replace(split, images=torch.arange(first, first + len(split)).to(torch.uint8).view(-1, 1, 1, 1))


def made(train, validation, groups=None):
    """A data set of these labels, and of these groups of the images of train and then of validation."""
    data, count = make_dataset(), len(train)
    numbers = [None, None] if groups is None else torch.tensor(groups).split([count, len(validation)])
    parts = [Split(data.train.images[:len(labels)], Targets.plain(torch.tensor(labels)), own)
             for labels, own in zip((train, validation), numbers)]
    return replace(data, train=parts[0], validation=parts[1])


def in_folds(dataset, count):
    return [with_folds(dataset, count, 0).folded(Fold(number, count)) for number in range(count)]


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_every_image_is_in_one_fold_and_folds_are_alike(count):
    labels = with_labels([23, 11, 4, 2])[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    numbers = dealt(labels, count, 3)
    table = torch.stack([torch.bincount(labels[numbers == number], minlength=4) for number in range(count)])
    assert table.sum(0).tolist() == [23, 11, 4, 2]
    assert (table.amax(0) - table.amin(0) <= 1).all(), "each class"
    assert int(table.sum(1).max() - table.sum(1).min()) <= 1, "all images"


def test_the_seed_decides_who_is_in_which():
    labels = torch.arange(2).repeat(50)
    draws = [dealt(labels, 5, seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_the_only_image_of_a_class_trains_in_every_fold():
    """The third class has one image, of validation; the second has two, which are in two folds."""
    data = made([0, 0, 0, 1, 0], [1, 0, 2])
    numbers = with_folds(data, 3, 0).folds.tolist()
    assert numbers[7] == -1 and len({numbers[3], numbers[5]}) == 2 and sorted(numbers) == [-1, 0, 0, 0, 1, 1, 2, 2]
    assert all(2 in part.train.targets.single for part in in_folds(data, 3))


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match=r"^confirm\.folds: train and validation have too few images for 5 folds\. "):
        with_folds(made([0, 0, 1], [1, 2]), 5, 0)


@pytest.mark.parametrize("mixed", [False, True])
def test_groups_are_whole_and_each_fold_has_every_class(mixed):
    for seed in range(20):
        labels, names = drawn(seed, mixed)
        numbers = grouped(labels, names, 3, seed)
        folds = [numbers == number for number in range(3)]
        assert sum(folds).tolist() == [1] * len(labels)
        groups = [{names[row] for row in fold.nonzero().flatten().tolist()} for fold in folds]
        assert sum(map(len, groups)) == len(set.union(*groups))
        assert all(set(labels[fold].tolist()) == {*labels.tolist()} for fold in folds)


def test_folds_validate_all_of_train_and_validation_once_and_none_of_test():
    data = make_dataset((12, 6, 5))
    count = len(data.train), len(data.validation)
    data = replace(data, train=marked(data.train, 0), validation=marked(data.validation, count[0]))
    labels = torch.cat([data.train.targets.single, data.validation.targets.single])
    seen = []
    for part in in_folds(data, 4):
        rows = [split.images.flatten().long() for split in (part.train, part.validation)]
        assert sorted(torch.cat(rows).tolist()) == list(range(sum(count)))
        for split, own in zip((part.train, part.validation), rows):
            assert split.targets.single.tolist() == labels[own].tolist()
        seen += rows[1].tolist()
        assert part.test is data.test and (part.mean, part.std) == (data.mean, data.std) and part.folds is None
    assert sorted(seen) == list(range(sum(count)))


def test_what_is_kept_of_one_fold_is_not_taken_for_another():
    """Features of a frozen network are kept by the fingerprint of the data."""
    data = make_dataset()
    prints = [part.fingerprint for count in (2, 3) for part in in_folds(data, count)]
    assert len({*prints, data.fingerprint}) == 6


def test_no_fold_is_the_data_itself():
    data = make_dataset()
    assert data.folded(None) is data


def test_folds_travel_to_processes():
    data = with_folds(make_dataset(), 3, 0)
    here, there = (each.folded(Fold(2, 3)) for each in (data, from_arrays(arrays(data))))
    assert torch.equal(here.train.images, there.train.images) and here.fingerprint == there.fingerprint
    assert there.validation.targets.single.tolist() == here.validation.targets.single.tolist()


def test_sets_of_labels_keep_their_labels_whatever_their_number():
    ours, theirs = Targets.sets([[0, 1, 2], [], [1]]), Targets.sets([[2], [0]])
    assert ours.followed(theirs).listed() == [(0, 1, 2), (), (1,), (2,), (0,)]
    assert theirs.followed(ours).listed() == [(2,), (0,), (0, 1, 2), (), (1,)]


def test_boxes_follow():
    ours = Targets(torch.zeros(1, 2).long(), torch.ones(1, 2), torch.ones(1, 2, 4))
    theirs = Targets(torch.ones(1, 1).long(), torch.ones(1, 1), torch.full((1, 1, 4), 2.0))
    found = ours.followed(theirs)
    assert found.boxes[:, :, 0].tolist() == [[1, 1], [2, 0]] and found.shares.tolist() == [[1, 1], [1, 0]]


def test_groups_of_train_and_validation_stay_together():
    data = made([0, 1] * 20, [0, 1] * 4, [*[number // 5 for number in range(40)], *[0, 1] * 4])
    for part in in_folds(data, 3):
        assert not {*part.train.groups.tolist()} & {*part.validation.groups.tolist()}
        assert {*part.validation.targets.single.tolist()} == {0, 1}


def test_a_class_with_fewer_groups_than_folds_trains_in_all_of_them():
    data = made([0] * 6 + [1] * 4, [0, 1], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 4])
    assert with_folds(data, 3, 0).folds[torch.tensor([6, 7, 8, 9, 11])].tolist() == [-1] * 5
    with pytest.raises(DataError, match=r"^confirm\.folds: train and validation have too few groups of any class "):
        with_folds(data, 5, 0)
