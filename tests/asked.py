"""Whether a search, before it begins, asks a probe of this machine."""
from autotricks.workflows import search as experiment


class Asked(Exception):
    """The probe was asked."""


class Passed(Exception):
    """The search went on without it."""


def watched(monkeypatch, probe):
    """Let a search end where it asks the probe of this name, or where it goes on without."""
    def ask(*arguments):
        raise Asked

    def go_on(*arguments):
        raise Passed
    monkeypatch.setattr(experiment, probe, ask)
    monkeypatch.setattr(experiment.teachers, "check_and_fetch", go_on)
