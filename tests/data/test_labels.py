import pytest

from autotricks.data.labels import encode as encoded, ordered
from autotricks.errors import DataError
from autotricks.tasks.classification import CLASSIFICATION


def encode(names, classes):
    """Number labels of images that have one each."""
    labels = {split: [(name,) for name in row] for split, row in names.items()}
    known, targets = encoded(labels, classes, CLASSIFICATION)
    return known, {split: row.single for split, row in targets.items()}


def test_whole_numbers_are_sorted_by_value_and_words_by_letter():
    assert ordered(["10", "9", "-1", "9"]) == ("-1", "9", "10")
    assert ordered(["10", "9", "b"]) == ("10", "9", "b")
    assert ordered(["9", "10" * 2500]) == ("10" * 2500, "9")      # Python reads no number of 5,000 digits


def test_numbers_every_split_by_the_training_classes():
    classes, labels = encode({"train": ["b", "a", "b"], "test": ["a", "b"]}, None)
    assert classes == ("a", "b")
    assert {name: row.tolist() for name, row in labels.items()} == {"train": [1, 0, 1], "test": [0, 1]}


def test_given_classes_keep_their_order():
    classes, labels = encode({"train": ["b", "a"]}, ("b", "a"))
    assert classes == ("b", "a") and labels["train"].tolist() == [0, 1]


@pytest.mark.parametrize(("names", "classes", "message"), [
    ({"train": []}, None, "no training images"),
    ({"train": ["a", "a"]}, None, "every training image is of class 'a'; at least 2"),
    ({"train": ["a", "b"]}, ("a", "b", "c"), "no training images that can be read in class 'c'"),
    ({"train": ["a", "b"], "test": ["a", "b", "c"]}, None, "test has 'c', which train has not"),
    ({"train": ["a", "b"], "test": ["a", "c"]}, None, "test has 'c', which train has not")])
def test_refuses(names, classes, message):
    with pytest.raises(DataError) as caught:
        encode(names, classes)
    assert str(caught.value).startswith("data.source: ") and message in str(caught.value)


def test_a_class_may_be_missing_from_a_split_that_is_not_trained_on():
    classes, labels = encode({"train": ["a", "b"], "validation": ["a"], "test": ["b", "b"]}, None)
    assert classes == ("a", "b")
    assert {name: row.tolist() for name, row in labels.items()} == {"train": [0, 1], "validation": [0], "test": [1, 1]}


@pytest.mark.parametrize(("rows", "message"), [
    ([("a",), ("a", "b"), ("b",)], r"1 images have no label or several, the first of them the labels 'a', 'b'"),
    ([("a",), (), ("b",)], "the first of them none; each needs one here. Set data.task to multilabel")])
def test_one_label_each_is_asked_for(rows, message):
    with pytest.raises(DataError, match=message):
        encoded({"train": rows}, None, CLASSIFICATION)
