import shutil

import pytest

from autotricks.space.load import load_space
from autotricks.tracking.store import client, default_uri
from autotricks.tuning.engines import local
from autotricks.tuning.engines.rung_training import RungTrainer, from_arrays
from autotricks.workflows import search as experiment

from ..search.scripted import hiring

NAME = "long_tail"
METRIC = "val/balanced_accuracy"
SMALL = ("search.engine=local", "search.trials=5", "search.parallel=1", "search.sampler=random", "training.epochs=4",
         "search.rungs.first=2", "search.rungs.reduction=2")


def hire(shared, course, threads, gpus=0, place=0):
    """Return a worker that trains in a thread of this process: real figures without a process to start."""
    dataset, climbs = from_arrays(shared), list[RungTrainer]()

    def answer(bundle, rung):
        if not climbs or climbs[-1].bundle is not bundle:
            climbs.append(RungTrainer(bundle, course, dataset))
        return climbs[-1].reach(rung)
    return hiring(answer)()


def search(root, tracking=None, overrides=(), listeners=(), loaded=None, confirm=False, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_hire", hire)
        chosen = experiment.Options(root=root, tracking=tracking, confirm=confirm, **options)
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
    """A real search, confirmed with fresh seeds in processes of their own, that MLflow's SQLite store was told of."""
    return search(stocked("confirmed"), overrides=["confirm.top=1", "confirm.seeds=2"], confirm=True)
