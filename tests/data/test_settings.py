import pytest

from autotricks.data import Settings
from autotricks.data.settings import Group
from autotricks.errors import DataError
from tests.conftest import for_each


@for_each([
    ("source", ""), ("source", None), ("size", 0), ("size", 32.0), ("size", True), ("channels", 2), ("channels", 4),
    ("imbalance", 0.5), ("imbalance", float("nan")), ("imbalance", float("inf")), ("imbalance", "100"),
    ("validation", 0), ("validation", 1.0), ("test", -0.1), ("test", 1), ("seed", -1), ("seed", 2**32), ("seed", 1.5),
    ("max_bad", 1.1), ("max_bad", -0.01), ("duplicates", "Drop"), ("duplicates", True)])
def test_refuses_with_the_name_and_what_is_allowed(name, value):
    with pytest.raises(DataError) as caught:
        Settings(**{name: value})
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(f"data.{name}: {value!r} is not allowed; {name} must be ")


@pytest.mark.parametrize(("name", "value"), [("size", 1), ("channels", 1), ("channels", 3), ("imbalance", 1),
                                             ("seed", 2**32 - 1), ("max_bad", 0), ("max_bad", 1), ("test", 0.01)])
def test_takes_the_ends_of_what_is_allowed(name, value):
    assert getattr(Settings(**{name: value}), name) == value


def test_gathers_every_problem():
    with pytest.raises(DataError) as caught:
        Settings(size=0, test=2, max_bad=-1)
    assert [line.split(":")[0] for line in caught.value.problems] == ["data.size", "data.test", "data.max_bad"]


@pytest.mark.parametrize("pattern", ["(", "(a{99999999999})", "(" * 3000 + ")" * 3000])
def test_a_pattern_that_cannot_be_compiled(pattern):
    with pytest.raises(DataError) as caught:
        Settings(source="image_folder:photos", group=Group(pattern=pattern))
    assert len(caught.value.problems) == 1 and "is no regular expression" in str(caught.value)
