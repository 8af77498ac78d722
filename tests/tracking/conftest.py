import pytest

from autotricks import experiment
from autotricks.search import local
from autotricks.search.climb import Climb, from_arrays
from autotricks.space.load import load_space

from ..search.scripted import hiring

NAME = "long_tail"
METRIC = "val/balanced_accuracy"
SMALL = ("search.engine=local", "search.trials=5", "search.parallel=1", "search.sampler=random", "training.epochs=4",
         "search.rungs.first=2", "search.rungs.reduction=2")


def hire(shared, course, threads):
    """Return a worker that trains in a thread of this process: real figures without a process to start."""
    dataset = from_arrays(shared)
    return hiring(lambda bundle, rung: Climb(bundle, course, dataset).reach(rung))()


def search(root, tracking=None, overrides=(), listeners=(), loaded=None, **options) -> experiment.SearchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_hire", hire)
        return experiment.search(loaded or load_space("long_tail.yaml", [*SMALL, *overrides]),
                                 experiment.Options(root=root, tracking=tracking, confirm=False, **options), listeners)


@pytest.fixture(scope="session")
def tracked(tmp_path_factory) -> experiment.SearchResult:
    """A real search that MLflow's SQLite store, in the folder of the runs, was told of."""
    return search(tmp_path_factory.mktemp("tracked"))
