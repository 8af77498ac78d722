"""What `autotricks check` says of a bad file."""
import sys
import time

import pytest

from autotricks import cli
from autotricks.cli.views import space
from autotricks.space import load_space

SECONDS = 0.2    # of one core, for one file once the program is up


@pytest.fixture(scope="session")
def up():
    """Have the program up: its modules and the catalog of tricks are imported once."""
    space.show(load_space("long_tail.yaml"), True, space.Found(), "")


@pytest.fixture
def check(up, capsys):
    """Return what the command says of a file that it must refuse, line by line."""
    def said(*words):
        for _ in range(3):   # collecting the garbage of the tests before it is not the command's time
            seconds, lines = once(*words)
            said.slowest = max(said.slowest, seconds)
            if seconds < SECONDS:
                return lines
        raise AssertionError(f"{seconds:.2f} s: {lines}")

    said.slowest = 0.0

    def once(*words):
        before, sys.argv = sys.argv, ["autotricks", "check", *map(str, words)]
        began = time.process_time()
        try:
            with pytest.raises(SystemExit) as stop:
                cli.main()
        finally:
            sys.argv = before
        seconds, (out, err) = time.process_time() - began, capsys.readouterr()
        assert stop.value.code == 2 and out == "", (stop.value.code, out)
        assert "Traceback" not in err and all(line.isprintable() for line in err.splitlines())
        return seconds, err.splitlines()
    return said
