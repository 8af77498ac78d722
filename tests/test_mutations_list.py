"""The list of deliberate faults has not rotted: what each replaces stands in its file once. They are tried by
`python -m tests.mutations`."""
from collections import Counter

import pytest

from tests.mutations import MUTATIONS, ROOT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_what_a_fault_replaces_stands_in_its_file_once(mutation):
    assert (ROOT / mutation.where).read_text(encoding="utf-8").count(mutation.before) == 1
    assert mutation.before != mutation.after


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_the_tests_of_a_fault_are_there(mutation):
    assert mutation.tests
    for test in mutation.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") if name else (ROOT / file).is_file(), test


def test_each_fault_is_another():
    assert len(MUTATIONS) >= 45
    assert max(Counter((one.where, one.before, one.after) for one in MUTATIONS).values()) == 1
    assert max(Counter(one.what for one in MUTATIONS).values()) == 1
