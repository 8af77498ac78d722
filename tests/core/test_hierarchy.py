import pytest

from autotricks.errors import DataError
from autotricks.io.class_hierarchy import groups

NAMES = ("cat", "dog", "oak", "elm", "rose")


def read(tmp_path, text, names=NAMES):
    path = tmp_path / "groups.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return groups(path, names, "group_head.hierarchy")


def test_groups_are_numbered_by_name_and_lines_may_come_in_any_order(tmp_path):
    assert read(tmp_path, "class,group\noak,tree\ncat,animal\nelm,tree\nrose,flower\ndog,animal\n") == [0, 0, 2, 2, 1]


def test_spaces_quotes_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path):
    text = (b'\xef\xbb\xbfclass,group\r\n cat , pet\r\n"dog",pet\r\n\r\noak,"plant, woody"\r\n'
            b'elm,"plant, woody"\r\nrose,pet')
    assert read(tmp_path, text) == [0, 0, 1, 1, 0]


def test_every_problem_has_its_line(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "class,group\ncat,animal\nwolf,animal\ncat,pet\noak\nelm, \n")
    lines = [line.partition("groups.csv: ")[2] for line in caught.value.problems]
    assert lines == [
        "line 3: there is no class 'wolf'; classes are cat to rose.",
        "line 4: class 'cat' has its group in line 2 already. Drop one of the two.",
        "line 5 is 'oak'; it must be a class, a comma and its group.",
        "line 6 is 'elm, '; it must be a class, a comma and its group.",
        "2 of 5 classes have no line: dog, rose. Each class needs one."]
    assert all(line.startswith("group_head.hierarchy: ") for line in caught.value.problems)


def test_a_class_whose_only_line_is_wrong_is_told_once(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "class,group\ncat,a\ndog,a\noak,b\nelm,b\nrose\n")
    assert len(caught.value.problems) == 1 and "line 6 is 'rose'" in caught.value.problems[0]


def test_a_long_list_of_problems_is_cut(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "class,group\n" + "".join(f"x{number},a\n" for number in range(30)))
    assert len(caught.value.problems) == 11 and "and 21 problems more." in caught.value.problems[-1]


@pytest.mark.parametrize(("text", "count"), [
    ("cat,a\ndog,a\noak,a\nelm,a\nrose,a\n", 1), ("cat,a\ndog,b\noak,c\nelm,d\nrose,e\n", 5)])
def test_groups_are_more_than_one_and_fewer_than_classes(tmp_path, text, count):
    with pytest.raises(DataError, match=rf"it has {count} groups for 5 classes; there must be at least 2 and fewer"):
        read(tmp_path, "class,group\n" + text)


@pytest.mark.parametrize(("text", "said"), [
    ("", "begins with nothing; its first line must be class,group"),
    ("cat,animal\n", "begins with 'cat,animal'; its first line must be class,group"),
    ("group,class\n", "begins with 'group,class'"),
    (b"class,group\n\xff\xfe,a\n", "cannot be read: .*utf-8.*CSV file"),
    ('class,group\n"cat,a\n', "cannot be read: .*CSV file")])
def test_another_file_is_one_clear_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, text)
    assert len(caught.value.problems) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"x: .*absent\.csv cannot be read: No such file or directory\."):
        groups(tmp_path / "absent.csv", NAMES, "x")
