"""The deliberate faults of `tests.mutations` have not rotted: what each replaces stands in its file exactly once."""
from collections import Counter

from tests.mutations import FAILED, MUTATIONS, ROOT


def missing(test):
    """Whether there is no such file of tests, or no such test in it."""
    file, _, name = test.partition("::")
    return not (ROOT / file).is_file() or f"def {name}" not in (ROOT / file).read_text(encoding="utf-8")


def test_what_a_fault_replaces_stands_in_its_file_once():
    counts = {(number, one.where): (ROOT / one.where).read_text(encoding="utf-8").count(one.before)
              for number, one in enumerate(MUTATIONS, 1)}
    assert {place: count for place, count in counts.items() if count != 1} == {}
    assert [one for one in MUTATIONS if one.before == one.after] == []


def test_the_tests_of_a_fault_are_there():
    assert [one for one in MUTATIONS if not one.tests or any(map(missing, one.tests))] == []
    assert missing("tests/none.py") and missing("tests/test_tested.py::test_of_no_such_name")


def test_each_fault_is_another():
    assert len(MUTATIONS) >= 45
    assert max(Counter((one.where, one.before, one.after) for one in MUTATIONS).values()) == 1
    assert max(Counter(one.what for one in MUTATIONS).values()) == 1


def test_the_first_failing_test_is_read_off_pytests_words():
    assert FAILED.findall("FAILED tests/a.py::test_b[1 - x] - assert 1 == 2\nERROR tests/c.py\n1 failed in 2s\n") == [
        "tests/a.py::test_b", "tests/c.py"]
