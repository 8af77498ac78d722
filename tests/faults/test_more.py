"""A finished search extended, and extended again after a kill."""
import pytest

from ..search import real
from . import kept
from .test_driver import count, kill, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_added_trials_are_those_of_a_longer_search(tmp_path, injected):
    """Numbers go on, confirmation is done anew, and a kill in between adds nothing twice."""
    words = [word for text in (*real.SMALL, "confirm.seeds=2", "confirm.top=1") for word in ("--set", text)]
    root, whole = tmp_path / "runs", tmp_path / "whole"
    first = real.run("search", "--space", "long_tail.yaml", *words, "--tracking", "off", "--root", str(root))
    assert first.returncode == 0, first.stderr
    folder = next(root.iterdir())
    before = kept.lines(folder)
    driver = real.start("search", "--resume", str(folder), "--add-trials", "4", "--tracking", "off")
    assert until(driver, lambda: count(root) > len(before) + 5)
    kill(driver)
    injected("driver killed while trials are added (F2)")
    again = real.run("search", "--resume", str(folder), "--tracking", "off")
    assert again.returncode == 0, again.stderr
    kept.ledger_goes_on(before, folder)
    longer = real.run("search", "--space", "long_tail.yaml", *words, "--set", "search.trials=10", "--tracking", "off",
                      "--root", str(whole))
    assert longer.returncode == 0, longer.stderr
    kept.as_unbroken(folder, next(whole.iterdir()))


@pytest.mark.parametrize("words", [("--space", "long_tail.yaml", "--add-trials", "3"),
                                   ("--resume", "latest", "--add-trials", "3", "--trials", "9")])
def test_adding_to_nothing_is_bad_input(tmp_path, words):
    done = real.run("search", *words, "--root", str(tmp_path))
    assert done.returncode == 2 and done.stderr.startswith("--add-trials: goes with --resume RUN")
