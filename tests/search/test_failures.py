"""Trials that kill their process or raise, on both engines, with real processes."""
import os

import pytest

from autotricks.errors import RunError
from autotricks.runs import folder as folders
from autotricks.space.load import load_space
from autotricks.workflows import search as experiment

from . import deadly, real

pytestmark = pytest.mark.slow
ENDS = ("diverged", "finished", "stopped")


@pytest.fixture(scope="module", autouse=True)
def plan(tmp_path_factory):
    """A folder that the processes of both engines know; Ray's inherit the environment when Ray starts."""
    import ray

    folder = tmp_path_factory.mktemp("deadly")
    os.environ[deadly.PLAN] = str(folder)
    yield folder
    del os.environ[deadly.PLAN]
    ray.shutdown()


@pytest.mark.parametrize("engine", real.ENGINES)
@pytest.mark.parametrize(("what", "attempts"), [("die", 3), ("raise", None)])
def test_trial_that_always_goes_wrong_fails_alone(plan, tmp_path, engine, what, attempts):
    """The start trials build six models; the third trial goes wrong at each of its attempts."""
    deadly.begin(plan)
    (plan / "wrong").write_text(f"{what}:7,8,9" if attempts or engine == "ray" else f"{what}:7")
    loaded = load_space("long_tail.yaml", [*real.SMALL, f"search.engine={engine}",
                                           "model.name=tests.search.deadly:net", *deadly.PINNED], trust=True)
    result = real.search(tmp_path, loaded=loaded, trust=True)
    past = real.trials(result.folder)
    assert [trial.end for trial in past[:3]] == ["finished", "finished", "failed"] and past[2].rungs == []
    assert len(past) == 6 and all(trial.end in ENDS for trial in past[3:])
    detail, = (line["detail"] for line in real.read(result.folder / folders.LEDGER)[0]
               if line["kind"] == "end" and line["trial"] == 2)
    if engine == "local":
        assert "planted" in detail if what == "raise" else detail == "its process died 3 times, exit code 9"
    else:
        assert "its process failed" in detail


@pytest.mark.parametrize("engine", real.ENGINES)
def test_trial_that_goes_wrong_twice_is_trained_all_the_same(plan, tmp_path, engine):
    deadly.begin(plan)
    (plan / "wrong").write_text("die:5,6")      # the second rung of the second trial, twice
    loaded = load_space("long_tail.yaml", [*real.SMALL, f"search.engine={engine}", "search.trials=3",
                                           "model.name=tests.search.deadly:net", *deadly.PINNED], trust=True)
    result = real.search(tmp_path, loaded=loaded, trust=True)
    lines = real.read(result.folder / folders.LEDGER)[0]
    assert [(line["trial"], line["rung"], line["attempt"]) for line in lines if line["kind"] == "rung"][:6] == [
        (0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 1), (1, 1, 3), (1, 2, 3)]
    assert [trial.end for trial in real.trials(result.folder)][:2] == ["finished", "finished"]


@pytest.mark.parametrize("engine", real.ENGINES)
def test_ledger_that_is_deleted_under_a_search_stops_it_at_the_next_line(tmp_path, engine):
    """After the first rung; the six trials have at most eighteen."""
    reached = []

    class Deleting:
        def started(self, trial):
            """Nothing."""

        def reached(self, trial, outcome, budget, score):
            reached.append(trial.number)
            next(tmp_path.glob("*/trials.jsonl")).unlink(missing_ok=True)

        ended = started

    loaded = load_space("long_tail.yaml", [*real.SMALL, f"search.engine={engine}"])
    options = experiment.Options(root=tmp_path, tracking="off", confirm=False)
    with pytest.raises(RunError, match=r"trials\.jsonl: was deleted, replaced or changed by another program") as caught:
        experiment.search(loaded, options, [Deleting()])
    assert len(reached) == 1 and len(caught.value.problems) == 1
