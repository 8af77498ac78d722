"""A real tracking server that is late, loses answers, refuses or comes back: all is there after a sync, and once."""
import random
import time

import pytest

from autotricks.tracking.store import client, default_uri
from autotricks.workflows.sync import sync

from ..search import real
from ..tracking.conftest import confirmed, search, stocked  # noqa: F401
from ..tracking.test_confirmed import content
from .proxy import hurting, mlflow_server
from .test_tracking import Waiting

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]
CONFIRMED = ("confirm.top=1", "confirm.seeds=2")
TAGS = ("trial", "label", "end", "rung", "hash", "seed", "files", "mlflow.parentRunId")
MEASURED = ("second", "speed", "/s")      # of time: they differ from search to search


def told(store):
    """What a store holds, but for what the clock says: by run name, status, tags, parameters, figures and files."""
    found = {}
    for key, (name, status, tags, parameters, figures, files) in content(store).items():
        kept = {what: [(step, value if not any(word in what for word in MEASURED) else 0) for step, value in rows]
                for what, rows in figures.items()}
        said = {what: tags.get(what) for what in TAGS}
        found[key] = (name, status, said, parameters, kept, files)
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as found:
        yield found


@pytest.fixture
def fresh(address):
    """Return the server's address with nothing in it of earlier searches."""
    store = client(address)
    for experiment in store.search_experiments():
        for run in store.search_runs([experiment.experiment_id]):
            store.delete_run(run.info.run_id)
    for model in store.search_registered_models():
        store.delete_registered_model(model.name)
    return address


def chance(share: float, what: str | int):
    drawn = random.Random(0)
    return lambda number, second: what if drawn.random() < share else "ok"


FAULTS = {
    "5 s late": lambda number, second: "late",
    "500": lambda number, second: 500,
    "413 for one in five": chance(0.2, 413),
    "503 for one in five": chance(0.2, 503),
    "one answer in five lost": chance(0.2, "lost"),
    "one in five cut off": chance(0.2, "cut"),
    "dies after forty": lambda number, second: "ok" if number < 40 else "cut",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_all_is_there_after_a_sync_and_once(tmp_path, monkeypatch, confirmed, fresh, fault, injected):  # noqa: F811
    waiting = Waiting(monkeypatch)
    with hurting(fresh, fault) as (where, done):
        result = search(tmp_path, where, overrides=CONFIRMED, confirm=True)
    injected("requests to a tracking server hurt (F6)", sum(what != "ok" for what in done))
    assert set(done) != {"ok"} and done
    print(f"{result.seconds:.1f} s, inside the tracker {waiting.seconds:.4f} s, closing it {waiting.closing:.2f} s")
    assert waiting.seconds < 0.01 * result.seconds
    if set(done) <= {"late", "500"}:    # one that takes an answer now and then is waited for, for up to a minute
        assert waiting.closing < 0.05 * result.seconds
    assert real.story(result.folder) == real.story(confirmed.folder)
    found, again = sync(result.folder, fresh), sync(result.folder, fresh)
    assert found.problem == again.problem == ""
    assert (again.runs, again.figures, again.files) == (0, 0, 0)
    store = client(fresh)
    mine, theirs = told(store), told(client(default_uri(confirmed.folder.parent)))
    assert mine == theirs
    version, = store.search_model_versions("name='long_tail'")
    assert dict(store.get_registered_model("long_tail").aliases) == {"champion": str(version.version)}


def test_server_that_is_back_after_a_minute(tmp_path, confirmed, fresh, injected, capsys):  # noqa: F811
    """A search that goes on meanwhile is done before; the sync that the notice names puts everything there."""
    with hurting(fresh, lambda number, second: 503 if second < 60 else "ok") as (where, done):
        began = time.monotonic()
        result = search(tmp_path, where, overrides=CONFIRMED, confirm=True)
        injected("requests to a tracking server hurt (F6)", len(done))
        assert len(result.notices) == 1 and result.notices[0].endswith(
            f"autotricks sync {result.folder} --tracking {where}")
        early = sync(result.folder, where)
        assert early.problem and (early.runs, early.figures, early.files) == (0, 0, 0)
        time.sleep(max(0.0, 60.5 - (time.monotonic() - began)))
        found, again = sync(result.folder, where), sync(result.folder, where)
    assert found.problem == again.problem == "" and found.runs == 1 + 5 + 4
    assert (again.runs, again.figures, again.files) == (0, 0, 0)
    assert told(client(fresh)) == told(client(default_uri(confirmed.folder.parent)))
    assert "View run" not in capsys.readouterr().out       # MLflow's, in the middle of our own or of --json
