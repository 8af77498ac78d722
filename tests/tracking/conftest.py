import shutil

import pytest

from autotricks.space.load import load_space
from autotricks.tracking.store import client, default_uri
from autotricks.workflows import search as experiment

from ..search.scripted import in_threads

NAME = "long_tail"
METRIC = "val/balanced_accuracy"
SMALL = ("search.engine=local", "search.trials=5", "search.parallel=1", "search.sampler=random", "training.epochs=4",
         "search.rungs.first=2", "search.rungs.reduction=2", "tricks.lr_finder.iterations=20")


def search(root, tracking=None, overrides=(), listeners=(), loaded=None, confirm=False, **options):
    chosen = experiment.Options(root=root, tracking=tracking, confirm=confirm, engine=in_threads(), **options)
    return experiment.search(loaded or load_space("long_tail.yaml", [*SMALL, *overrides]), chosen, listeners)


@pytest.fixture(scope="session")
def stocked(tmp_path_factory):
    """Return a new folder with a store that holds nothing yet; MLflow takes seconds to make one."""
    first = tmp_path_factory.mktemp("blank")
    client(default_uri(first)).search_experiments()

    def folder(name):
        made = tmp_path_factory.mktemp(name)
        shutil.copy(first / "mlflow.db", made)
        return made
    return folder


@pytest.fixture(scope="session")
def tracked(stocked) -> experiment.SearchResult:
    """A real search that MLflow's SQLite store, in the folder of the runs, was told of."""
    return search(stocked("tracked"))


@pytest.fixture(scope="session")
def confirmed(stocked) -> experiment.SearchResult:
    """A real search, confirmed with fresh seeds, that MLflow's SQLite store was told of."""
    return search(stocked("confirmed"), overrides=["confirm.top=1", "confirm.seeds=2"], confirm=True)
