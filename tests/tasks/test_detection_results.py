"""What a detector does on test: confusion, kinds of error and thresholds, by hand and against each other."""
import numpy as np
import pytest
import torch

from autotricks.core.task import Measured
from autotricks.stats.test_results import ClassResults
from autotricks.tasks.detection import DETECTION
from autotricks.tasks.detection.average_precision import Comparison
from autotricks.tasks.detection.errors import KINDS, Diagnosis, mistakes
from autotricks.tasks.detection.matching import Found, Truths
from autotricks.tasks.detection.testing import confusion, shown, thresholds

from .detections import CLASSES, said, stored
from .test_average_precision import case

# three objects in the first image, of classes 0, 0 and 1, one of class 1 in the second, and one that is ignored
TRUTHS = Truths(np.array([[[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]],
                          [[0, 0, 10, 10], [50, 50, 70, 70], [0, 0, 0, 0]]], float),
                np.array([[0, 0, 1], [1, 1, 0]]),
                np.array([[True] * 3, [True, False, False]]), np.array([[False] * 3, [False, True, False]]))
BOXES = {"right": ([0, 0, 10, 10], 0), "double": ([0, 0, 10, 9], 0), "place": ([20, 0, 30, 4], 0),
         "class": ([40, 0, 50, 10], 0), "both": ([43, 0, 53, 20], 0), "background": ([80, 80, 90, 90], 1),
         "none": ([0, 0, 1, 1], 0), "ignored": ([55, 55, 60, 60], 1)}


def found_of(*images):
    """What is found, by kind, each a tenth less likely than the one before."""
    rows = [[(*BOXES[kind], (9 - rank) / 10 if kind != "none" else 0.0) for rank, kind in enumerate(kinds)]
            for kinds in images]
    boxes, labels, scores = (np.array([[one[part] for one in row] for row in rows]) for part in range(3))
    return Found(boxes.astype(float), labels, scores)


FOUND = found_of(("right", "double", "place", "class", "both", "background"),
                 ("ignored", "background", "none", "none", "none", "none"))


def test_each_kind_of_error_by_hand():
    """The object of class 1 in the second image is missed; those of the first are found, misplaced and misnamed."""
    kinds = Diagnosis.of(TRUTHS, FOUND, 2).kinds()
    said_of = {kind: flags.nonzero()[0].tolist() for kind, flags in kinds.wrong.items()}
    assert said_of == {"double": [1], "place": [2], "class": [3], "both": [4], "background": [5, 7]}
    assert kinds.missed.nonzero()[0].tolist() == [3]
    assert kinds.mends.tolist() == [-1, -1, 1, 2] + [-1] * 8


def test_what_each_kind_costs_by_hand():
    """At one half class 0 has one of two objects right, as the likeliest: 51 of 101 recalls; class 1 has nothing."""
    whole = Diagnosis.of(TRUTHS, FOUND, 2)
    costs = whole.costs()
    now = Comparison(TRUTHS, FOUND, 2).curves().average[:, 0]
    assert now.tolist() == pytest.approx([51 / 101, 0])
    # the misplaced box becomes the second right one of three: 50 more recalls at a precision of 2/3
    assert costs["place"] == pytest.approx(50 / 101 * 2 / 3 / 2)
    # the misnamed box becomes one of class 1, behind one on the background: one of two found, 51 recalls at a half
    assert costs["class"] == pytest.approx(51 / 101 / 2 / 2)
    # nothing behind the right box is right, so that it does not matter
    assert costs["double"] == costs["both"] == costs["background"] == pytest.approx(0)
    # of two objects of class 1 one is missed; the other is not found either
    assert costs["missed"] == pytest.approx(0)


def test_a_misnamed_box_on_an_object_that_was_found_is_not_right_once_it_is_mended():
    """Of two objects of class 0 one is found, and named 1 besides; without that box nothing is better."""
    truths = Truths(TRUTHS.boxes[:1], np.array([[0, 0, 1]]), TRUTHS.counted[:1], TRUTHS.ignored[:1])
    found = Found(np.array([[[0, 0, 10, 10], [0, 0, 10, 10]]], float), np.array([[0, 1]]), np.array([[0.9, 0.8]]))
    assert Diagnosis.of(truths, found, 2).costs()["class"] == pytest.approx(0)


@pytest.mark.parametrize("first", range(0, 200, 100))
def test_kinds_add_up_and_no_error_mended_costs_anything(first):
    """Each thing that is wrong is of one kind; what is right stands on the diagonal; rows are objects."""
    for seed in range(first, first + 100):
        truths, found, classes = case(seed)
        told = Diagnosis.of(truths, found, classes)
        kinds = told.kinds()
        assert (sum(flags.astype(int) for flags in kinds.wrong.values()) == told.wrong).all(), seed
        matrix = confusion(told)
        assert matrix[:-1].sum(1).tolist() == truths.counts(classes).tolist(), seed
        assert matrix[:, :-1].sum() == (told.right | told.wrong).sum(), seed
        assert matrix.trace() == told.right.sum() and matrix[-1, -1] == 0, seed
        if truths.counted.any():
            assert all(cost >= -1e-12 for cost in told.costs().values()), seed


def test_confusion_by_hand():
    """Rows: 0, 1, background. The misplaced box is on nothing by half, so its object counts as missed."""
    assert confusion(Diagnosis.of(TRUTHS, FOUND, 2)).tolist() == [[1, 0, 1], [1, 0, 1], [3, 2, 0]]


def test_a_right_box_keeps_its_object_though_one_of_another_class_is_likelier():
    truths = Truths(np.array([[[0, 0, 10, 10]]], float), np.array([[1]]), np.array([[True]]), np.array([[False]]))
    found = Found(np.array([[[0, 0, 10, 10], [0, 0, 10, 8]]], float), np.array([[0, 1]]), np.array([[0.9, 0.5]]))
    assert confusion(Diagnosis.of(truths, found, 2)).tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def f1(truths, found, limits):
    """F1 of each class at an overlap of one half, counted in the confusion matrix."""
    matrix = confusion(Diagnosis.of(truths, found.reaching(limits), len(limits)))
    named, there = matrix[:, :-1].sum(0), matrix[:-1].sum(1)
    return 2 * matrix.diagonal()[:-1] / np.maximum(named + there, 1)


def test_no_threshold_names_better():
    truths, found = Truths.of(stored()[1]), Found.of(stored()[0])
    limits = thresholds(truths, found, CLASSES)
    best = f1(truths, found, limits)
    assert best.min() > 0 and len(set(limits)) > 5
    for other in np.quantile(found.scores[found.scores > 0], np.linspace(0, 1, 25)):
        assert (f1(truths, found, np.full(CLASSES, other)) <= best + 1e-12).all(), other


def test_a_threshold_lies_between_and_is_one_half_where_validation_has_no_object():
    """Right at .9, wrong at .8: half-way between. Class 1 has nothing right; class 2 no object."""
    found = found_of(("right", "double"), ("none", "none"))
    assert thresholds(TRUTHS, found, 3).tolist() == pytest.approx([0.85, 0.5, 0.5])


def measured(count=100):
    found, targets = stored()
    return Measured(said(found[:count]), targets[:count])


@pytest.fixture(scope="module")
def result():
    return DETECTION.test(measured(40), measured(), torch.ones(CLASSES))


def test_thresholds_are_those_of_validation(result):
    fitted, praised = (DETECTION.fit(measured(count), CLASSES)["thresholds"] for count in (40, 100))
    assert result.thresholds == fitted != praised


def test_on_test_figures_by_class_and_size_are_those_of_the_whole(result):
    for name in ("average_precision", "average_precision_50", "average_recall", "average_precision_small"):
        assert np.mean(result.by_class[name]) == pytest.approx(result.metrics[name], abs=1e-6), name
    assert next(iter(result.by_class)) == "average_precision" and "average_precision_medium" not in result.by_class
    assert np.mean(result.objects.curves[".5"]) == pytest.approx(result.metrics["average_precision_50"], abs=1e-6)
    assert np.mean(result.objects.curves[".75"]) == pytest.approx(result.metrics["average_precision_75"], abs=1e-6)
    assert [*result.objects.mistakes] == [*KINDS]
    assert sum(map(sum, result.confusion[:-1])) == int((stored()[1].shares > 0).sum())


def test_what_is_told_is_what_is_counted_and_drawn(result):
    """Of twelve scenes: found and missed boxes are what `answers` tells and the objects that are there."""
    found, targets = stored()
    answers = DETECTION.answers(DETECTION.decode(said(found)), [str(label) for label in range(CLASSES)],
                                fitted={"thresholds": result.thresholds})
    assert len(result.objects.shown) == 12 and {0, 16, 33, 50, 66, 83} <= {one.row for one in result.objects.shown}
    for one in result.objects.shown:
        told = [box for box in one.boxes if box.score is not None]
        assert [(each["class"], each["probability"], each["left"]) for each in answers[one.row]["objects"]] == [
            (str(box.label), pytest.approx(box.score, abs=1e-4), pytest.approx(box.edges[0], abs=0.06))
            for box in told], one.row
        missed = len(one.boxes) - len(told)
        assert missed + sum(box.right for box in told) == int((targets.shares[one.row] > 0).sum()), one.row


def test_the_images_in_which_most_is_wrong_are_drawn():
    truths, found = Truths.of(stored()[1]), Found.of(stored()[0])
    told = Diagnosis.of(truths, found, CLASSES)
    wrong = told.wrong.reshape(len(found.labels), -1).sum(1) + truths.counted.sum(1) - told.right.reshape(
        len(found.labels), -1).sum(1)
    spaced, worst = shown(told)[:6], shown(told)[6:]
    left = sorted(np.delete(wrong, [one.row for one in spaced]), reverse=True)
    assert [sum(not box.right for box in one.boxes) for one in worst] == left[:6]
    assert [sum(not box.right for box in one.boxes) for one in spaced] == [wrong[one.row] for one in spaced]


def test_seeds_are_averaged(result):
    several = ClassResults.of([result, result])
    assert several.objects.mistakes == result.objects.mistakes and not several.objects.shown
    assert several.confusion[0][0] == 2 * result.confusion[0][0]
    assert several.objects.curves[".5"][0] == pytest.approx(result.objects.curves[".5"][0], abs=1e-4)


def test_costs_are_of_all_that_was_found_and_counts_of_what_is_told():
    truths, found = Truths.of(stored()[1]), Found.of(stored()[0])
    every = Diagnosis.of(truths, found, CLASSES)
    told = Diagnosis.of(truths, found.reaching(np.full(CLASSES, 0.3)), CLASSES)
    both = mistakes(told, every)
    assert both["background"].count < mistakes(every, every)["background"].count
    assert {kind: one.cost for kind, one in both.items()} == every.costs()
