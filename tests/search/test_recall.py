"""A search killed at any point and taken up from its ledger, with workers that answer by a script."""
import json

import pytest

from autotricks.core.reporting import End
from autotricks.runs.ledger import Ledger, read
from autotricks.tuning.search import Search

from .scripted import METRIC, by_merit, merit, outcome, search, story, trials
from .spaces import MIXED, loaded

SAMPLERS = ("random", "tpe", "bayesian")
FIDELITIES = ("compressed", "prefix")
# Each sampler is killed after every third line, each after others; after every line in the slow run.
THIRDS = [pytest.param(sampler, slice(place, None, 3), id=f"{sampler}-third") for place, sampler in enumerate(SAMPLERS)]
# With each fidelity after every sixth: after every third with either.
SIXTHS = [pytest.param(sampler, fidelity, slice(place + 3 * half, None, 6), id=f"{sampler}-{fidelity}-sixth")
          for place, sampler in enumerate(SAMPLERS) for half, fidelity in enumerate(FIDELITIES)]
EVERY = [pytest.param(sampler, fidelity, slice(None), id=f"{sampler}-{fidelity}-all", marks=pytest.mark.slow)
         for sampler in SAMPLERS for fidelity in FIDELITIES]
ALL = [pytest.param(sampler, slice(None), id=f"{sampler}-all", marks=pytest.mark.slow) for sampler in SAMPLERS]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def mixed(tmp_path, *overrides):
    return loaded(tmp_path, MIXED, "search.sampler=random", *overrides)


def cut(path, count) -> None:
    """Leave the first lines of a ledger, and half of the next."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:count]) + (lines[count][:len(lines[count]) // 2] if count < len(lines) else b""))


def reasons(path) -> list[tuple]:
    """Return why each trial was tried."""
    return [(trial.why, trial.step, trial.promise) for trial in trials(path)]


def doubtful(number: int, rung: int):
    """Answer with at least a half, but every fourth trial is so poor that no model goes on with it."""
    made = by_merit(number, rung)
    return outcome(rung, 0.01) if number % 4 == 1 else outcome(rung, 0.5 + merit(number, rung) / 2, made.end)


@pytest.mark.parametrize(("sampler", "fidelity", "some"), SIXTHS + EVERY)
def test_search_killed_after_any_line_comes_to_the_same_end(tmp_path, path, dataset, monkeypatch, fidelity, sampler,
                                                            some):
    space = mixed(tmp_path, f"search.rungs.fidelity={fidelity}", f"search.sampler={sampler}", "search.trials=12")
    made = doubtful if sampler == "bayesian" else by_merit
    whole = search(space, path, dataset, monkeypatch, made)
    expected, content, why = story(path), path.read_bytes(), reasons(path)
    assert {trial.end for trial in trials(path)} == {"finished", "stopped", "diverged"}
    for count in range(content.count(b"\n") + 1)[some]:
        path.write_bytes(content)
        cut(path, count)
        sent = []

        def answer(number, rung, sent=sent):
            sent.append(number)
            return made(number, rung)

        before = {trial.number for trial in trials(path) if trial.end}
        found = search(space, path, dataset, monkeypatch, answer)
        assert story(path) == expected, f"killed after line {count}"
        assert reasons(path) == why, f"killed after line {count}"
        assert not before & set(sent), "a finished trial was trained again"
        assert found.champion.trial.number == whole.champion.trial.number
        assert found.champion.score == whole.champion.score
        assert found.champion.metrics == whole.champion.metrics


@pytest.mark.parametrize(("sampler", "some"), [*THIRDS[::2], *ALL[::2]])
def test_search_bounded_by_epochs_and_killed_after_any_line_spends_the_same(tmp_path, path, dataset, monkeypatch,
                                                                            sampler, some):
    """Five trainings of nine epochs are spent before twelve trials are."""
    space = mixed(tmp_path, f"search.sampler={sampler}", "search.trials=12", "search.trainings=5")
    search(space, path, dataset, monkeypatch)
    expected, content = story(path), path.read_bytes()
    assert 3 < len(expected) < 12 and sum(trial.epochs for trial in trials(path)) >= 45
    for count in range(content.count(b"\n") + 1)[some]:
        path.write_bytes(content)
        cut(path, count)
        search(space, path, dataset, monkeypatch)
        assert story(path) == expected, f"killed after line {count}"


def test_search_killed_twice_comes_to_the_same_end(tmp_path, path, dataset, monkeypatch):
    """Once after any rung, and again when the resumed one has begun the same trial once more."""
    space = mixed(tmp_path, "search.sampler=bayesian", "search.trials=6")
    search(space, path, dataset, monkeypatch, doubtful)
    expected, content = story(path), path.read_bytes()
    for line in [line for line in read(path)[0] if line["kind"] == "rung"]:
        path.write_bytes(content)
        cut(path, line["seq"] + 1)
        ledger = Ledger(path)
        Search(space, ledger).propose()
        ledger.close()
        search(space, path, dataset, monkeypatch, doubtful)
        assert story(path) == expected, f"killed after line {line['seq'] + 1}"


def test_optuna_hears_of_every_rung_of_a_resumed_trial(tmp_path, path, dataset, monkeypatch):
    """The search is killed after the first rung of trial 1, which is stopped at its second."""
    space = mixed(tmp_path, "search.trials=3")

    def answer(number, rung):
        return outcome(rung, 0.9 if rung == 0 or number == 0 else 0.1)

    search(space, path, dataset, monkeypatch, answer)
    assert [line["rung"] for line in trials(path)[1].rungs] == [0, 1] and trials(path)[1].end == "stopped"
    cut(path, next(line["seq"] for line in read(path)[0] if line["trial"] == 1 and line["kind"] == "rung") + 1)
    found = search(space, path, dataset, monkeypatch, answer)
    told, = (told for told in found._chooser._study.get_trials() if told.params == trials(path)[1].picks)
    assert list(told.intermediate_values) == [1, 3]


def test_search_killed_after_any_line_with_four_workers(tmp_path, path, dataset, monkeypatch):
    """What is drawn then depends on who answers first; that every trial is there once does not."""
    space = mixed(tmp_path, "search.trials=12")
    search(space, path, dataset, monkeypatch, workers=4)
    content = path.read_bytes()
    ended = {line["trial"]: line for line in read(path)[0] if line["kind"] == "end"}
    for count in range(0, content.count(b"\n") + 1, 3):
        path.write_bytes(content)
        cut(path, count)
        kept = read(path)[0]
        search(space, path, dataset, monkeypatch, workers=4)
        lines = read(path)[0]
        assert lines[:len(kept)] == kept
        assert [trial.number for trial in trials(path)] == list(range(12))
        assert all(trial.end for trial in trials(path))
        assert [trial.hash for trial in trials(path)] == [ended[number]["hash"] for number in range(12)]
        for kind in ("rung", "end"):
            once = [(line["trial"], line.get("rung")) for line in lines if line["kind"] == kind]
            assert len(once) == len(set(once))


@pytest.mark.parametrize("sampler", ["bayesian", "tpe"])
def test_no_bundle_is_trained_twice_however_often_a_search_is_killed(tmp_path, path, dataset, monkeypatch, sampler):
    """With four workers: what is open when the search is killed is not proposed again beside itself."""
    space = mixed(tmp_path, f"search.sampler={sampler}", "search.trials=16")
    search(space, path, dataset, monkeypatch, workers=4)
    content = path.read_bytes()
    for count in range(2, content.count(b"\n"), 7):
        path.write_bytes(content)
        cut(path, count)
        kept = read(path)[0]
        search(space, path, dataset, monkeypatch, workers=4)
        hashes = [trial.hash for trial in trials(path)]
        assert read(path)[0][:len(kept)] == kept and all(trial.end for trial in trials(path))
        assert len(hashes) == len(set(hashes)) == 16


def test_more_trials_extend_a_finished_search(tmp_path, path, dataset, monkeypatch):
    search(mixed(tmp_path, "search.trials=8"), path, dataset, monkeypatch)
    first = path.read_bytes()
    search(mixed(tmp_path, "search.trials=12"), path, dataset, monkeypatch)
    assert path.read_bytes().startswith(first)
    search(mixed(tmp_path, "search.trials=12"), path.with_name("whole.jsonl"), dataset, monkeypatch)
    assert story(path) == story(path.with_name("whole.jsonl"))


def test_champion_of_a_tie_is_the_same_after_resume(tmp_path, path, dataset, monkeypatch):
    """Trial 2 gets there before trial 0, with the same score: champion.yaml holds trial 2, and so must a resume."""
    space = mixed(tmp_path, "search.trials=3")
    search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    lines = [{key: value for key, value in json.loads(text).items() if key not in ("seq", "check")}
             for text in path.read_text().splitlines()]
    path.unlink()
    ledger = Ledger(path)
    for line in [line for line in lines if line["kind"] == "trial"]:
        ledger.append(**line)
    for number in (2, 1, 0):
        for line in [line for line in lines if line["trial"] == number and line["kind"] != "trial"]:
            ledger.append(**line)
    assert Search(space, ledger).champion.trial.number == 2
    ledger.close()


@pytest.mark.parametrize("some", [slice(None, None, 3), pytest.param(slice(None), marks=pytest.mark.slow)],
                         ids=["third", "all"])
def test_exploded_loss_is_no_score_after_a_resume_either(tmp_path, path, dataset, monkeypatch, some):
    """A trial whose loss explodes ends with figures that are finite: they count for nothing, then and later."""
    space = mixed(tmp_path, "search.trials=12")

    def answer(number, rung):
        return outcome(rung, 0.99, End.DIVERGED) if number % 3 == 1 else outcome(rung, merit(number, rung))

    search(space, path, dataset, monkeypatch, answer)
    expected, content = story(path), path.read_bytes()
    assert [line["score"] for line in read(path)[0] if line["kind"] == "end" and line["reason"] == "diverged"] == [
        None] * sum(trial.end == "diverged" for trial in trials(path))
    for count in range(content.count(b"\n"))[some]:
        path.write_bytes(content)
        cut(path, count)
        search(space, path, dataset, monkeypatch, answer)
        assert story(path) == expected, f"killed after line {count}"



def test_resumed_prefix_is_judged_once(tmp_path, path, dataset, monkeypatch):
    """Trial 1 went on from its first rung as the best of two; after a resume, better ones there do not stop it."""
    space = mixed(tmp_path, "search.rungs.fidelity=prefix", "search.trials=3")
    search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    rung = next(line for line in read(path)[0] if line["trial"] == 1 and line["kind"] == "rung")
    begun = next(line for line in read(path)[0] if line["trial"] == 2 and line["kind"] == "trial")
    cut(path, rung["seq"] + 1)
    ledger = Ledger(path)
    for line in (begun, {**rung, "trial": 2, "metrics": {METRIC: 0.9}}):
        ledger.append(**{key: value for key, value in line.items() if key not in ("seq", "check")})
    ledger.append("end", trial=2, reason="failed", score=0.9, detail="", hash=begun["hash"], seed=0)
    ledger.close()
    search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    assert [(trial.end, len(trial.rungs)) for trial in trials(path)] == [("finished", 3), ("finished", 3),
                                                                       ("failed", 1)]
