"""The exceptions of autotricks.

AutotricksError            exit code 1: the job failed
├── InputError             exit code 2: what was given cannot be used; carries every problem found
│   ├── SpaceError         a space or bundle file
│   ├── BundleError        tricks that do not fit together
│   ├── DataError          images, labels or a data source
│   ├── ModelError         an unknown or unusable model
│   ├── ResourceError      devices, memory or disk asked for that are not there
│   └── RunError           a run folder: locked, damaged, not resumable
├── RankError              a process that trained a part of every batch has ended
├── EngineError            the search engine gave up; finished trials are in the ledger
├── DiskError              the disk is full; finished trials are in the ledger
└── Interrupted            exit code 130: Ctrl-C
"""
from collections.abc import Iterable


def printable(text: str) -> str:
    """Return text with whatever cannot be printed escaped: line ends, and what a terminal would obey."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class AutotricksError(Exception):
    """Base of every error that autotricks raises on purpose; its text is one or more clear lines."""

    exit_code = 1


class InputError(AutotricksError):
    """Say what was given, what is allowed and what to do; `problems` holds one line for each."""

    exit_code = 2

    def __init__(self, problems: str | Iterable[str]):
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class SpaceError(InputError):
    """A space or bundle file that does not say what it must."""


class BundleError(InputError):
    """Tricks, windows or values that do not fit together."""


class DataError(InputError):
    """A data source that is missing, empty or unusable."""


class ModelError(InputError):
    """A model that is unknown or does not fit the data."""


class HubError(ModelError):
    """Weights that are neither on this machine nor to be had from the hub now."""


class ResourceError(InputError):
    """More devices, memory or disk than there are."""


class RunError(InputError):
    """A run folder that is in use, damaged, or belongs to another search."""


class RankError(AutotricksError):
    """A process that trained a part of every batch is gone, and the training with it."""


class EngineError(AutotricksError):
    """The search engine stopped; what had finished is in the ledger."""


class DiskError(AutotricksError):
    """The disk is full or fails; what had finished is in the ledger."""


class Interrupted(AutotricksError):
    """Ctrl-C: results are kept."""

    exit_code = 130
