"""Counts the faults that were really injected, and says so at the end of a run."""
from collections import Counter

import pytest

from ..search.conftest import finished  # noqa: F401

INJECTED: Counter[str] = Counter()


@pytest.fixture
def injected(request):
    """Count faults: `injected("driver killed")` after each."""
    def count(what: str, number: int = 1) -> None:
        INJECTED[what] += number
    return count


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Add what a worker of xdist has injected."""
    INJECTED.update(getattr(node, "workeroutput", {}).get("injected", {}))


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["injected"] = dict(INJECTED)


def pytest_terminal_summary(terminalreporter):
    if INJECTED:
        terminalreporter.section("faults injected")
        for what, number in sorted(INJECTED.items()):
            terminalreporter.write_line(f"{number:6d}  {what}")
        terminalreporter.write_line(f"{sum(INJECTED.values()):6d}  in all")
