"""The corpus of bad files, tests/bad: one clear line with its place for each thing wrong, at once and in no time."""
import re
import sys
from pathlib import Path

import pytest
import yaml

from autotricks import cli

from .made import LAST

BAD = Path(__file__).parents[1] / "bad"
EXPECTED = yaml.safe_load((BAD / "expected.yaml").read_text("utf-8"))


def test_every_file_is_expected_and_every_kind_is_there():
    assert {path.stem for path in BAD.glob("*.yaml")} == {*EXPECTED, "expected", "valid"}
    kinds = {int(name[:2]) for name in EXPECTED if name[:2].isdigit()}
    # 13 and 14 are below, 27 is fine, 48 and 49 belong to a search, 51 to 55 are overrides; there is no 19 and no 38:
    # data and objective have defaults, and tricks cannot name conditions of their own.
    assert kinds >= set(range(1, 51)) - {13, 18, 19, 27, 38, 48, 49}
    assert len(EXPECTED) >= 130


def test_bad_files(check):
    found = []
    for name, expected in EXPECTED.items():
        path = BAD / f"{name}.yaml"
        try:
            said = check(path)
        except AssertionError as error:
            found.append(f"{name}: {error}")
            continue
        if len(said) != len(expected) or not all(
                words in line and re.match(rf"{re.escape(str(path))}:{number}:\d+  ", line)
                for line, (number, words) in zip(said, expected.items())):
            found.append("\n".join([f"{name}: {expected} was expected, and said was", *said]))
    assert not found, "\n".join(found)


def test_the_file_that_they_were_made_from_is_fine(capsys, monkeypatch):
    """Or each might be refused for what it has in common with the others."""
    monkeypatch.setattr(sys, "argv", ["autotricks", "check", str(BAD / "valid.yaml")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(("override", "words"), [
    ("trial.epochs=5", "--set  trial: no such key."),
    ("training.epohcs=5", "--set  training.epohcs: no such key. Did you mean epochs?"),
    ("training.epochs=", "--set training.epochs=: expected key.key=value"), ("=5", "--set =5: expected key.key=value"),
    ("training.epochs=many", "--set  training.epochs: 'many' is not a whole number."),
    ("training=5", "--set  training: 5 is not a mapping.")])
def test_a_bad_override(check, override, words):
    (line,) = check(BAD / "valid.yaml", "--set", override)
    assert line.startswith(words)


def test_a_file_too_large(check, tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text(LAST + "#" * 1_000_000)
    assert check(path) == [f"{path}: more than 1,000,000 bytes; a file of tricks is smaller."]


def test_what_is_no_file(check, tmp_path):
    (line,) = check(tmp_path)
    assert line.startswith(f"{tmp_path}: is a folder.")
    (line,) = check(BAD / "vaild.yaml")
    assert "no such file. Did you mean valid.yaml" in line


@pytest.mark.parametrize(("text", "count"), [
    ("tricks:\n" + "".join(f"  mixpu_{number}: {{}}\n" for number in range(1000)), 1000),
    ("tricks: {sgd: {}}\nstart:\n" + "".join(f"- nope_balanced_{number}\n" for number in range(300)), 300),
    ("tricks: {sgd: {}}\n" + "".join(f"serach_trials_{number}: 1\n" for number in range(1000)), 1000)],
    ids=["tricks", "bundles", "keys"])
def test_a_file_of_wrong_words_alone_takes_no_time(check, tmp_path, text, count):
    """Each of which could be held against all that there are."""
    path = tmp_path / "many.yaml"
    path.write_text(f"name: demo\n{text}")
    assert len(check(path)) == count
