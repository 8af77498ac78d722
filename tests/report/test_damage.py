"""A run's files cut off, replaced or nested without end: the page that was there stays, or says what it leaves out."""
from pathlib import Path

import pytest

from autotricks.errors import RunError
from autotricks.report import write

from .made import confirmed, searched
from .test_report import champion, page


def without_lines(path):
    path.write_bytes(b"")


def in_its_first_line(path):
    path.write_bytes(path.read_bytes()[:40])


def before_the_champion_ended(path):
    content = path.read_bytes()
    path.write_bytes(content[:content.index(b"\n", content.index(b'"kind":"rung","trial":1')) + 1])


def a_folder(path):
    path.unlink()
    path.mkdir()


def foreign(path):
    path.write_text("not a ledger")


@pytest.mark.parametrize("hurt", [Path.unlink, without_lines, in_its_first_line, before_the_champion_ended, a_folder,
                                  foreign])
def test_a_ledger_that_was_cut_off_keeps_the_page(tmp_path, hurt):
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion())
    before = write(path).read_bytes()
    hurt(path / "trials.jsonl")
    with pytest.raises(RunError, match=r"trials\.jsonl: ") as caught:
        write(path)
    assert len(caught.value.problems) == 1 and (path / "report.html").read_bytes() == before


@pytest.mark.parametrize("name", ["space.yaml", "data.json", "champion.yaml", "confirm.json", "ablation.json",
                                  "versions.json", "trials.jsonl"])
@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "- " * 200_000,
                                     '{"seq":0,"kind":' + "[" * 200_000 + "\n"])
def test_deep_nesting_is_damage(here, tmp_path, name, content):
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion())
    (path / name).write_text(content)
    code, _, err = here("report", str(path))
    needed = name in ("space.yaml", "trials.jsonl")
    assert code == (2 if needed else 0) and err.count("\n") == needed and (not needed or name in err)
    assert needed or f"left out of this page: {name}." in page(path).text
