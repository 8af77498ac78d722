"""Strict YAML: what words mean (YAML 1.2, chapter 10.3), and that whatever is refused is refused in one clear line."""
import itertools
import re
import subprocess
import sys
import time

import pytest

from autotricks.errors import SpaceError
from autotricks.export import text as written
from autotricks.io.yaml_tree import LARGE, MAX_DEPTH, SMALL, Tree, parse
from tests.conftest import for_each

MAX_BYTES, MAX_NODES = SMALL


def value(text):
    return parse(f"key: {text}\n", "f.yaml").value["key"]


def lines(text):
    with pytest.raises(SpaceError) as caught:
        parse(text, "f.yaml")
    for line in caught.value.problems:
        assert "\n" not in line and len(line) < 1000 and line.startswith("f.yaml")
    return caught.value.problems


@for_each([
    ("1e-3", 0.001), ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("-1.5E+2", -150.0), ("+.5", 0.5), ("0.1", 0.1),
    ("1e400", float("inf")), ("3", 3), ("-7", -7), ("+12", 12), ("010", 10), ("08", 8), ("0", 0)])
def test_a_number_is_a_number(text, number):
    got = value(text)
    assert got == number and type(got) is type(number)


@for_each([
    "no", "NO", "yes", "on", "off", "y", "n", "1:30", "1:30:00", "2026-01-01", "2026-01-01T00:00:00Z", "1_000", "0x1F",
    "0o17", "0b11", ".", "-", "e3", "1e", "1e+", "--1", "1.2.3", ".inf", ".nan", "NaN", "tRue", "nULL", "=", "<<", "१"])
def test_a_word_stays_a_word(word):
    assert value(f"[{word}]" if word == "-" else word) == ([word] if word == "-" else word)


@for_each([
    ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("true", True), ("True", True),
    ("TRUE", True), ("false", False), ("False", False), ("FALSE", False)])
def test_the_words_of_the_core_schema(text, meant):
    assert value(text) is meant


@for_each(["0.1", "1e-3", "10", "true", "null", "~", ""])
def test_what_is_quoted_is_text(text):
    assert value(f"'{text}'") == text
    assert value(f'"{text}"') == text
    assert parse(f"key: |-\n  {text}x\n", "f.yaml").value["key"] == text + "x"


@pytest.mark.parametrize("digits", [19, 400, 5000])
def test_a_whole_number_too_long_to_count_with_is_a_float(digits):
    got = value("9" * digits)
    assert isinstance(got, float) and got == float("9" * digits)
    assert value("9" * 18) == 10 ** 18 - 1


def test_values_know_where_they_stand():
    tree = parse("\n# comment\na: {b: [1, {c: 2}]}\nd:\n  - e\n", "f.yaml")
    assert tree.value == {"a": {"b": [1, {"c": 2}]}, "d": ["e"]}
    assert tree.where(("a",)) == "f.yaml:3:1"
    assert tree.where(("a", "b")) == "f.yaml:3:5"
    assert tree.where(("a", "b", 1, "c")) == "f.yaml:3:13"
    assert tree.where(("d", 0)) == "f.yaml:5:5"
    assert tree.where(("a", "b", "nowhere", 7)) == "f.yaml:3:5", "of the nearest value that holds it"
    assert tree.problem(("a", "b"), "is wrong.") == "f.yaml:3:5  a.b: is wrong."


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    tree = parse(b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9\r\n", "f.yaml")
    assert tree.value == {"a": 1, "b": "é"} and tree.where(("b",)) == "f.yaml:2:1"


def test_json_is_yaml():
    assert parse('{\n\t"a": [1e-3, "1", null, true]\n}', "f.yaml").value == {"a": [0.001, "1", None, True]}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "---\n...\n", b""])
def test_an_empty_file_has_no_value(text):
    assert parse(text, "f.yaml").value is None


def test_an_alias_repeats_its_anchor():
    assert parse("a: &x {c: 1}\nb: *x\n", "f.yaml").value == {"a": {"c": 1}, "b": {"c": 1}}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi"))

REFUSED = [
    ("duplicate key", "a: 1\nb: 2\na: 3\n", "f.yaml:3:1  a: this key stands twice, first in line 1. Drop one."),
    ("duplicate below", "a:\n  b: {c: 1, c: 2}\n", "f.yaml:2:13  a.b.c: this key stands twice, first in line 2."),
    ("duplicate, quoted", "a: 1\n'a': 2\n", "f.yaml:2:1  a: this key stands twice"),
    ("python tag", "a: !!python/object/apply:os.system [echo]\n",
     "f.yaml:1:4  tags such as !!python/object/apply:os.system are not allowed."),
    ("own tag", "x: 1\na: !mine b\n", "f.yaml:2:4  tags such as !mine are not allowed."),
    ("str tag", "a: !!str 12\n", "f.yaml:1:4  tags such as !!str are not allowed."),
    ("int tag", "a: [!!int '12']\n", "f.yaml:1:5  tags such as !!int are not allowed."),
    ("tag of two lines", "a: !<x%0Ay> b\n", r"f.yaml:1:4  tags such as x\ny are not allowed."),
    ("bare tag", "a: ! 12\n", "f.yaml:1:4  tags such as ! are not allowed."),
    ("binary", "a: !!binary aGk=\n", "f.yaml:1:4  tags such as !!binary are not allowed."),
    ("alias bomb", BOMB, "more than 10,000 values"),
    ("alias cycle", "a: &a [*a]\n", "f.yaml:1:4  a.0.0: nested more than 30 deep; are its aliases circular"),
    ("mapping cycle", "a: &a {b: *a}\n", "nested more than 30 deep; are its aliases circular"),
    ("unknown alias", "a: *b\n", "f.yaml:1:4  not valid YAML: found undefined alias."),
    ("3,000 brackets", "[" * 3000, f"f.yaml:1:{MAX_DEPTH + 1}  nested more than 30 deep."),
    ("3,000 closed", "[" * 3000 + "]" * 3000, f"f.yaml:1:{MAX_DEPTH + 1}  nested more than 30 deep."),
    ("deep mappings", "{a: " * 3000, "nested more than 30 deep."),
    ("deep dashes", "- " * 3000 + "x", f"f.yaml:1:{2 * MAX_DEPTH + 1}  nested more than 30 deep."),
    ("too many values", "a: [" + "1, " * MAX_NODES + "]\n", "f.yaml:1:29999  a.9998: more than 10,000 values"),
    ("second document", "a: 1\n---\nb: 2\n", "f.yaml:2:1  a space is one document; drop the second '---'."),
    ("tab", "a:\n\tb: 1\n", "f.yaml:2:1  not valid YAML: this character cannot start a value; is it a tab? "
                          "Indent with spaces."),
    ("backtick", "a: `b`\n", "f.yaml:1:4  not valid YAML: this character cannot start a value"),
    ("NUL", "a: 1\nb: x\0y\n", r"f.yaml:2:5  '\x00' is no character of a text file. Save the file as UTF-8."),
    ("escape", b"a: \x1b[31mred\n", r"f.yaml:1:4  '\x1b' is no character of a text file."),
    ("Latin-1", "a: 1\nb: é\n".encode("latin-1"), "f.yaml:2:4  not UTF-8. Save the file as UTF-8."),
    ("UTF-16", "a: 1\n".encode("utf-16"), "f.yaml:1:1  not UTF-8. Save the file as UTF-8."),
    ("UTF-16 without mark", "a: 1\n".encode("utf-16-le"), "f.yaml:1:2  '\\x00' is no character of a text file."),
    ("open bracket", "a: [1, 2\nb: 3\n", "that begins in line 1."),
    ("open quote", "a: 1\nb: 'c\nd: 2\n", "f.yaml:4:1  not valid YAML: found unexpected end of stream while scanning a "
                                          "quoted scalar that begins in line 2."),
    ("a: b: c", "a: b: c\n", "f.yaml:1:5  not valid YAML: mapping values are not allowed in this context."),
    ("list as key", "a: 1\n[b, c]: 2\n", "f.yaml:2:1  a key must be a word."),
    ("mapping as key", "{a: 1}: 2\n", "f.yaml:1:1  a key must be a word."),
    ("other YAML", "%YAML 2.0\n---\na: 1\n", "f.yaml:1:1  not valid YAML: found incompatible YAML document."),
    ("lone surrogate", 'a: "\\ud800"\n', "f.yaml:1:7  not valid YAML: found invalid Unicode character escape code"),
    ("huge", "#" * (MAX_BYTES + 1), "f.yaml: more than 1,000,000 bytes"),
]


@for_each(REFUSED)
def test_refused_in_one_line(case, text, said):
    started = time.process_time()
    (line,) = lines(text)
    assert said in line
    assert time.process_time() - started < 1


def test_every_duplicate_and_every_tag_is_named_at_once():
    assert [re.match(r"f.yaml:\d+", line)[0] for line in lines("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n")] == [
        "f.yaml:2", "f.yaml:3", "f.yaml:4"]
    assert len(lines("a: !x 1\nb: !y 2\n")) == 2


def test_half_a_million_brackets_do_not_crash_the_process():
    """Composing recurses in C, where running out of stack is no exception: only a process of its own shows it."""
    program = ("import sys\n"
               "from autotricks.io.yaml_tree import parse\nfrom autotricks.errors import SpaceError\n"
               "for text in ('[' * 499_000 + ']' * 499_000, '- ' * 499_000, '{a: ' * 200_000):\n"
               "    try:\n        parse(text, 'f.yaml')\n    except SpaceError as error:\n        print(error)\n")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert [line.split("  ")[1] for line in ran.stdout.splitlines()] == ["nested more than 30 deep."] * 3


def test_the_limits_themselves_are_allowed():
    depth = MAX_DEPTH - 1
    assert parse("a: " + "[" * depth + "]" * depth, "f.yaml").value
    assert len(parse("a: [" + "1, " * (MAX_NODES - 2) + "]\n", "f.yaml").value["a"]) == MAX_NODES - 2
    assert parse("a: 1\n" + "#" * (MAX_BYTES - 5), "f.yaml").value == {"a": 1}


def test_a_bundle_may_name_ten_thousand_classes():
    many = "a: [" + "1, " * 2 * MAX_NODES + "]\n"
    assert len(parse(many, "f.yaml", limits=LARGE).value["a"]) == 2 * MAX_NODES
    with pytest.raises(SpaceError, match="more than 10,000 values"):
        parse(many, "f.yaml")


WORDS = ["".join(letters) for size in range(1, 5) for letters in itertools.product("0189.e-+_o", repeat=size)] + [
    "no", "NO", "on", "y", "null", "~", "true", "", " ", "1:30", "2026-01-01", "1e400", "1_000", "0x1F", "<<", "=",
    "1e5", "a: b", "- a", "#a", "'", '"', "\n", "\t", "\x1b", "\ud7ff", "é", "日本", "*a", "&a", "!a", "%a", "[",
    "{", "|"]


def test_what_is_written_is_read_as_it_was():
    """PyYAML writes by YAML 1.1, in which a class `08` or `1e5` needs no quotes; here such a word is a number."""
    document = {"text": WORDS, "numbers": [0, 8, -3, 0.1, 1e-5, 1e22, 123456.0], "others": [None, True, False],
                "keys": dict.fromkeys(WORDS)}
    read = parse(written(document), "f.yaml", limits=LARGE).value
    assert read == document and [type(one) for one in read["numbers"]] == [type(one) for one in document["numbers"]]


def test_a_problem_stays_one_printable_line():
    tree = parse('"a\\nb\\e[31m": 1\n', "f.yaml")
    line = tree.problem(("a\nb\x1b[31m",), "no such key." + "x" * 5000 + " The end.")
    assert line.startswith(r"f.yaml:1:1  a\nb\x1b[31m: no such key.xxx") and line.endswith("xxx The end.")
    assert len(line) < 700


def test_override_replaces_adds_and_belongs_to_the_command_line():
    tree = parse("a: {b: 1, c: 2}\nd: word\n", "f.yaml")
    tree.override(("a", "b"), 9)
    tree.override(("e", "f"), [1])
    tree.override(("d", "g"), True)
    assert tree.value == {"a": {"b": 9, "c": 2}, "e": {"f": [1]}, "d": {"g": True}}
    assert tree.where(("a", "b")) == tree.where(("e", "f", 0)) == tree.where(("e",)) == "--set"
    assert tree.where(("a", "c")) == "f.yaml:1:11"


def test_override_forgets_where_the_replaced_values_stood():
    tree = parse("a:\n  b: [1, 2]\n", "f.yaml")
    tree.override(("a",), {"b": [3]})
    assert tree.where(("a", "b", 0)) == "--set"


def test_override_of_an_empty_file():
    tree = Tree("f.yaml")
    tree.override(("a", "b"), 1)
    assert tree.value == {"a": {"b": 1}}
