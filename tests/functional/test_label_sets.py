import torch

from autotricks.core.targets import Targets
from autotricks.functional.label_sets import class_shares, image_counts, labelled_rows
from autotricks.functional.sampling import class_probabilities, rows_by_class


def test_shares_of_classes_by_hand():
    targets = Targets.sets([[0, 2], [], [1]])
    assert class_shares(targets, 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    mixed = targets.blend(torch.tensor([2, 0, 1]), torch.tensor([0.75]))
    assert class_shares(mixed, 3).tolist() == [[0.75, 0.25, 0.75], [0.25, 0, 0.25], [0, 0.75, 0]]
    assert class_shares(Targets.sets([[0, 0]]), 2).tolist() == [[1, 0]], "a label that was given twice"
    same = targets.blend(torch.tensor([0, 1, 2]), torch.tensor([0.5]))
    assert class_shares(same, 3).tolist() == class_shares(targets, 3).tolist()


def test_each_label_is_a_row_and_images_without_one_have_none():
    rows, labels = labelled_rows(Targets.sets([[0, 2], [], [1], [2]]))
    assert sorted(zip(rows.tolist(), labels.tolist())) == [(0, 0), (0, 2), (2, 1), (3, 2)]
    rows, labels = labelled_rows(Targets.sets([[0], [], [1]]))      # no image has more than one
    assert (rows.tolist(), labels.tolist()) == ([0, 2], [0, 1])
    rows, labels = labelled_rows(Targets.sets([[], []]))
    assert (rows.tolist(), labels.tolist()) == ([], [])
    rows, labels = labelled_rows(Targets.plain(torch.tensor([2, 0])))
    assert rows.tolist() == [0, 1] and labels.tolist() == [2, 0]


def test_an_image_has_the_label_of_several_objects_once():
    """Three objects of class 1 in the first image, and one to ignore; two of class 0 in the second."""
    targets = Targets.sets([[1, 1, 0, 1, 2], [0, 0]], [torch.rand(5, 4), torch.rand(2, 4)], [[0, 0, 0, 0, 1], [0, 0]])
    rows, labels = labelled_rows(targets)
    assert sorted(zip(rows.tolist(), labels.tolist())) == [(0, 0), (0, 1), (1, 0)]
    assert image_counts(labels, 4).tolist() == [2, 1, 0, 0] and targets.counts(4).tolist() == [3, 3, 0, 0]


def test_classes_are_drawn_alike_from_sets_of_labels():
    """Of 1,000 images every one has class 0 and one in fifty class 1 too; nobody without labels is drawn."""
    targets = Targets.sets([[0, 1] if row % 50 == 0 else [0] for row in range(1000)] + [[]] * 500)
    rows, labels = labelled_rows(targets)
    counts = targets.counts(2)
    drawn = rows[rows_by_class(labels, counts, class_probabilities(counts, 0.0), 20_000,
                               torch.Generator().manual_seed(0))]
    assert int(drawn.max()) < 1000
    # half for class 1, and of the other half one in fifty has it too
    assert abs(float((drawn % 50 == 0).float().mean()) - 0.51) < 5 * (0.25 / 20_000) ** 0.5
