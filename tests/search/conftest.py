import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autotricks.tuning.engines import local
from autotricks.workflows import search as experiment

from . import real


@dataclass
class Finished:
    """A real search, trained to its end without a fault: what the others are held against."""

    result: experiment.SearchResult | None = None
    shipped: list = field(default_factory=list)   # what the engine took from the data set for its workers
    crowned: dict = field(default_factory=dict)   # weights of every champion on the way, by trial
    left: bool = True                             # whether a process was left behind, beside what forks workers

    @property
    def folder(self) -> Path:
        return self.result.folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    found, arrays, keep = Finished(), local.arrays, experiment.keep

    def shipping(dataset):
        found.shipped.append((dataset, arrays(dataset)))
        return found.shipped[-1][1]

    def keeping(folder, loaded, data, champion):
        found.crowned[champion.trial.number] = champion.weights
        keep(folder, loaded, data, champion)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "arrays", shipping)
        patch.setattr(experiment, "keep", keeping)
        found.result = real.search(tmp_path_factory.mktemp("runs"))
    found.left = not real.gone(lambda: real.below(os.getpid()), 3)
    return found
