import pytest

from autotricks.data import Settings
from autotricks.data.settings import Group, Splits, Table
from autotricks.errors import DataError
from autotricks.space.sections import DataSection
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


@for_each([
    (Table(label=("",)), "data.label: a name is empty."), (Table(folder=("a", "")), "data.folder: a name is empty."),
    (Table(separator=""), "data.separator: a name is empty."), (Table(delimiter=",,"), "data.delimiter: ',,' is not"),
    (Table(encoding="latin-0"), "data.encoding: 'latin-0' is not"), (Table(header="no"), "data.header: 'no' is not"),
    (Table(label=("a", "b"), separator="|"), "data.separator: several columns of labels have no cells")])
def test_what_a_table_cannot_be_is_one_line(table, said):
    with pytest.raises(DataError) as caught:
        Settings("csv:x.csv", table=table)
    assert len(caught.value.problems) == 1 and str(caught.value).startswith(said)


@for_each([
    ("digits", {"table": Table(fold="0")}, "data.fold: digits is no table"),
    ("npz:x.npz", {"splits": Splits(("a",))}, "data.splits: npz:x.npz has neither folders nor columns"),
    ("csv:x.csv", {"classes": "leaf"}, "data.classes: csv:x.csv has no folders"),
    ("csv:x.csv", {"splits": Splits(("a",), ("A",))}, "data.splits: 'a' cannot be in two splits"),
    ("csv:x.csv", {"splits": Splits()}, "data.splits: name at least one"),
    ("csv:x.csv", {"splits": Splits(("a",)), "table": Table(fold="0")}, "data.fold: with data.splits there are two")])
def test_keys_that_say_something_of_another_source_or_nothing(source, keys, said):
    with pytest.raises(DataError) as caught:
        Settings(source, **keys)
    assert len(caught.value.problems) == 1 and str(caught.value).startswith(said)


def test_a_section_names_one_or_several_and_takes_numbers_for_text():
    """As YAML hands them over: `fold: 0`, `folder: images`, `splits: {test: [4, e]}`."""
    section = DataSection.model_validate({"source": "csv:x.csv", "label": "dx", "folder": ["a", "b"], "path": 1,
                                          "splits": {"test": [4, "e"]}, "split": "fold", "header": False})
    assert section.settings() == Settings("csv:x.csv", splits=Splits(test=("4", "e")), table=Table(
        path="1", label=("dx",), folder=("a", "b"), split="fold", header=False))
    kept = section.model_dump(mode="json", exclude_none=True)
    assert "encoding" not in kept and DataSection.model_validate(kept).settings() == section.settings()
