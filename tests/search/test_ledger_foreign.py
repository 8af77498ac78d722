"""Files that are no ledgers, and ledgers that another program changes while they are written."""
import os
from pathlib import Path

import pytest

from autotricks.errors import RunError
from autotricks.runs.ledger import Ledger, read

from .test_ledger import LINES, written


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


@pytest.mark.parametrize("content", [b"my notes\n", b"x", b"\x89PNG\r\n\x1a\n\0\0", b'{"name": "x"}\n', b"\0" * 40,
                                     b'{"seq":7', b'{"seq":0,"kinder'])
def test_file_of_somebody_else_stays_as_it_is(path, content):
    path.write_bytes(content)
    for reads in (Ledger, read):
        with pytest.raises(RunError, match=r"jsonl: is no ledger, and stays as it is\. Name another file") as caught:
            reads(path)
        assert len(caught.value.problems) == 1 and path.read_bytes() == content


def test_every_beginning_of_a_first_line_is_dropped(path):
    first = written(path).partition(b"\n")[0]
    for size in range(1, len(first) + 1):
        path.write_bytes(first[:size])
        ledger = Ledger(path)
        ledger.close()
        assert (ledger.lines, ledger.torn, path.read_bytes()) == ([], True, b""), first[:size]


def test_missing_ledger_and_a_folder_in_its_place_are_one_line(path):
    with pytest.raises(RunError, match=r"jsonl: the ledger cannot be read: no such file or directory\. Restore"):
        read(path)
    path.mkdir()
    for reads in (Ledger, read):
        with pytest.raises(RunError, match=r"trials\.jsonl: is no file, and so no ledger\."):
            reads(path)


def deleted(path):
    path.unlink()


def replaced(path):
    content = path.read_bytes()
    path.rename(path.with_name("old"))
    path.write_bytes(content)


def cut(path):
    os.truncate(path, 10)


def appended(path):
    with path.open("ab") as file:
        file.write(b'{"seq":3}\n')


def folder_renamed(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("change", [deleted, replaced, cut, appended, folder_renamed])
def test_change_by_another_program_is_noticed_at_the_next_line(tmp_path, change):
    path = tmp_path / "run" / "trials.jsonl"
    path.parent.mkdir()
    ledger = Ledger(path)
    for kind, fields in LINES:
        ledger.append(kind, **fields)
    change(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(RunError, match="deleted, replaced or changed by another program") as caught:
        ledger.append("trial", trial=1)
    ledger.close()
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert len(ledger.lines) == 3 and before == (path.read_bytes() if path.exists() else None)


@pytest.mark.parametrize(("place", "why"), [("/dev/null", "is no file"), ("/dev/full", "is no file"),
                                            ("/proc/x", "cannot be written: no such file")])
def test_what_keeps_no_lines_is_refused_at_once(place, why):
    with pytest.raises(RunError, match=f"^{place}: {why}.* Name another place"):
        Ledger(Path(place))
