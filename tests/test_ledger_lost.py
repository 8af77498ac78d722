"""A run whose ledger does not hold its champion: every command that reads it says so, and changes nothing."""
import pytest

from .test_ablate import planted


def lost(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-3]))


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("hurt", [lost, emptied, cut, a_folder])
def test_a_ledger_without_the_champion_is_one_line_and_all_stays(tmp_path, hurt, here):
    folder, _, _, _ = planted(tmp_path, {"sgd": {"lr": 1e-6}})
    hurt(folder / "trials.jsonl")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for command in ("ablate", "confirm", "report", "sync"):
        code, out, err = here(command, str(folder))
        assert code == 2 and out == "" and err.startswith(f"{folder}") and err.count("\n") == 1, (command, err)
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
                and path.name != ".lock"} == {name: content for name, content in before.items() if name != ".lock"}
