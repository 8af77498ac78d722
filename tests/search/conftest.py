from dataclasses import dataclass
from pathlib import Path

import pytest

from autotricks.experiment import SearchResult
from autotricks.search import local

from . import real


@dataclass(frozen=True)
class Finished:
    """A real search, trained to its end without a fault: what the others are held against."""

    result: SearchResult
    shipped: list       # what the engine sent to its workers
    left: bool          # whether a process was left behind

    @property
    def folder(self) -> Path:
        return self.result.folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    shipped, arrays = [], local.arrays
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "arrays", lambda dataset: shipped.append((dataset, arrays(dataset))) or shipped[-1][1])
        result = real.search(tmp_path_factory.mktemp("runs"))
    import os
    return Finished(result, shipped, not real.gone(lambda: real.below(os.getpid()), 3))
