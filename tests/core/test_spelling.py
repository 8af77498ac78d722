"""Which word was meant: slips counted by hand, and the words that are easily confused."""

from autotricks.io.did_you_mean import nearest, slips
from tests.conftest import for_each


@for_each([
    ("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("mixpu", "mixup", 1), ("rl", "lr", 1), ("kitten", "sitting", 3),
    ("ca", "abc", 3),      # optimal string alignment does not edit a swapped pair again: Damerau-Levenshtein has 2
    ("abcd", "badc", 2), ("flip", "clip", 1), ("a", "b", 1)])
def test_slips(left, right, count):
    assert slips(left, right) == slips(right, left) == count


@for_each([
    ("rl", ("lr", "tau"), "lr"), ("LabelSmoothing", ("label_smoothing", "labels"), "label_smoothing"),
    ("batch-size", ("batch_size", "size"), "batch_size"), ("adamv", ("adam", "adamw", "sam"), "adam"),
    ("serach", ("start", "search"), "search"), ("frist", ("first", "start"), "first"),
    ("x", ("q", "lr"), None), ("", ("q",), None), ("nothing like it", ("mixup",), None), ("mixup", (), None)])
def test_nearest(word, known, meant):
    assert nearest(word, known) == meant
