import csv
import json
import math
import random
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from autotricks.core.objective import SPEED
from autotricks.core.reporting import End
from autotricks.runs.ledger import Ledger, read
from autotricks.runs.table import write as write_table
from autotricks.tuning.search import Search

from .scripted import DIE, DIE_AFTER, METRIC, by_merit, merit, outcome, search, story, trials
from .spaces import COUNTED, MIXED, loaded


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.jsonl"


def mixed(tmp_path, *overrides):
    return loaded(tmp_path, MIXED, "search.sampler=random", *overrides)


def test_search_trains_all_trials_and_keeps_the_best(tmp_path, path, dataset, monkeypatch):
    crowned = []
    found = search(mixed(tmp_path), path, dataset, monkeypatch, workers=3, crowned=crowned)
    past = trials(path)
    assert [trial.number for trial in past] == list(range(20))
    assert {trial.end for trial in past} == {"finished", "stopped", "diverged"}
    assert past[0].label == "baseline" and past[0].end == "finished" and len(past[0].rungs) == 3
    assert [trial.label for trial in past[1:]] == [""] * 19
    best = max((trial for trial in past if trial.end == "finished"), key=lambda trial: trial.score(METRIC))
    assert found.champion.trial.number == best.number and found.champion.score == best.score(METRIC)
    assert [champion.score for champion in crowned] == sorted(champion.score for champion in crowned)
    assert found.champion.weights == f"weights of {best.score(METRIC)}".encode()
    assert crowned[-1] is found.champion


def test_nobody_hears_before_the_ledger_has_it(tmp_path, path, dataset, monkeypatch):
    crowned = []
    found = search(mixed(tmp_path, "search.trials=6"), path, dataset, monkeypatch, crowned=crowned)
    lines = read(path)[0]
    assert [(kind, number) for kind, number, _ in found.told.heard] == [(line["kind"], line["trial"]) for line in lines]
    answers = [count for count, line in enumerate(lines) if line["kind"] == "rung"]    # each written with what follows
    assert len(answers) == len(lines) - 12 > 6
    assert [count for _, _, count in found.told.heard] == [1] + [
        stop for start, stop in pairwise([*answers, len(lines)]) for _ in range(start, stop)]
    assert len(found.told.synced[1:]) == 1 + len(answers) + len(crowned)    # whose figures are on disk before weights


def test_stopped_is_who_lies_below_the_cutoff(tmp_path, path, dataset, monkeypatch):
    """With one worker the order is that of the numbers: the rule can be worked out by hand from the ledger."""
    search(mixed(tmp_path), path, dataset, monkeypatch)
    seen = [[], [], []]
    for trial in trials(path):
        for line in trial.rungs:
            score, before = line["metrics"][METRIC], sorted(seen[line["rung"]])
            if score is None:
                assert trial.end == "diverged"
                continue
            place = (len(before) - 1) * 2 / 3      # the 2/3 quantile, interpolated
            low = math.floor(place)
            cutoff = before[low] + (place - low) * (before[min(low + 1, len(before) - 1)] - before[low]) \
                if before else -math.inf
            seen[line["rung"]].append(score)
            if trial.label == "" and line["rung"] < 2 and abs(score - cutoff) > 1e-9:
                assert (trial.end == "stopped" and line is trial.rungs[-1]) == (score < cutoff)


def test_start_trials_are_never_stopped(tmp_path, path, dataset, monkeypatch):
    (tmp_path / "poor.yaml").write_text("name: poor\ntricks: {sgd: {lr: 0.02}, cosine: {}}\n", "utf-8")
    text = MIXED + f"start: [baseline, {tmp_path}/poor.yaml]\n"
    space = loaded(tmp_path, text, "search.sampler=random", "search.trials=12")
    assert len(space.start) == 2

    def answer(number, rung):
        if number < 2:
            time.sleep(0.1)     # the others are there before
        return outcome(rung, 0.01 if number < 2 else merit(number, rung) + 0.2)

    search(space, path, dataset, monkeypatch, answer, workers=4)
    past = trials(path)
    assert [trial.hash for trial in past[:2]] == [bundle.hash for bundle in space.start.values()]
    assert [(trial.end, len(trial.rungs)) for trial in past[:2]] == [("finished", 3)] * 2
    lines = [line for line in read(path)[0] if line["kind"] == "rung" and line["rung"] == 0]
    assert {line["trial"] for line in lines[:2]}.isdisjoint({0, 1})
    assert all(trial.label for trial in past[:2]) and not any(trial.label for trial in past[2:])
    assert "stopped" in {trial.end for trial in past[2:]}


@pytest.mark.parametrize("end", [End.DIVERGED, End.OUT_OF_MEMORY])
@pytest.mark.parametrize("score", [math.nan, 0.999])
def test_trial_that_did_not_finish_is_never_champion(tmp_path, path, dataset, monkeypatch, end, score):
    """Every second drawn trial breaks at the last rung, with the best score of all or none."""
    space = mixed(tmp_path)

    def answer(number, rung):
        broken = rung == 2 and number % 2
        return outcome(rung, score, end) if broken else outcome(rung, merit(number, rung))

    found = search(space, path, dataset, monkeypatch, answer)
    ends = {trial.number: trial.end for trial in trials(path)}
    assert end.value in ends.values()
    assert ends[found.champion.trial.number] == "finished" and found.champion.score < 0.9


def test_smaller_is_better_where_the_space_says_so(tmp_path, path, dataset, monkeypatch):
    space = mixed(tmp_path, "objective.metric=train/loss", "objective.mode=min")

    def answer(number, rung):
        made = outcome(rung, 0.5)
        made.metrics["train/loss"] = 2 - merit(number, rung)
        return made

    found = search(space, path, dataset, monkeypatch, answer)
    ended = [trial for trial in trials(path) if trial.end == "finished"]
    best = min(ended, key=lambda trial: trial.score("train/loss"))
    assert found.champion.trial.number == best.number
    search(mixed(tmp_path), path.with_name("max.jsonl"), dataset, monkeypatch,
           lambda number, rung: outcome(rung, merit(number, rung)))
    assert [trial.end for trial in trials(path)] == [trial.end for trial in trials(path.with_name("max.jsonl"))]


def test_the_champion_is_the_best_of_those_that_keep_what_is_to_be_kept(tmp_path, path, dataset, monkeypatch):
    """The speed is the merit; every second trial pays with more than is allowed. A resumed search says the same."""
    space = mixed(tmp_path, "objective={metric: train/images_per_second, mode: max, "
                            f"keep: {{metric: {METRIC}, within: 0.05}}}}")

    def answer(number, rung):
        made = outcome(rung, 0.8 - (0.06 if number % 2 else 0.04) * bool(number))
        made.metrics[SPEED] = 100 * merit(number, rung)
        return made

    found = search(space, path, dataset, monkeypatch, answer)
    ended = sorted((trial for trial in trials(path) if trial.end == "finished"), key=lambda trial: trial.score(SPEED))
    assert ended[-1].number % 2, "the fastest of all has lost too much"
    assert found.champion.trial.number == [trial.number for trial in ended if not trial.number % 2][-1]
    ledger = Ledger(path)
    again = Search(space, ledger)
    ledger.close()
    assert again.champion.trial.number == found.champion.trial.number


@pytest.mark.parametrize("fidelity", ["compressed", "prefix"])
@pytest.mark.parametrize("way", [DIE, DIE_AFTER])
def test_killed_worker_costs_nothing(tmp_path, path, dataset, monkeypatch, fidelity, way):
    """A worker dies in every trial, within a rung or between two: the trials are those without."""
    space, sent = mixed(tmp_path, f"search.rungs.fidelity={fidelity}"), []

    def answer(number, rung):
        sent.append((number, rung))
        if way == DIE and sent.count((number, rung)) == 1 and rung == 1:
            return DIE
        made = by_merit(number, rung)
        return (made, DIE_AFTER) if way == DIE_AFTER and sent.count((number, rung)) == 1 and rung == 0 else made

    search(space, path, dataset, monkeypatch, answer)
    search(space, path.with_name("whole.jsonl"), dataset, monkeypatch)
    assert story(path) == story(path.with_name("whole.jsonl"))
    if fidelity == "compressed":
        assert all(sent.count(one) <= 2 for one in sent)
    attempts = [line["attempt"] for trial in trials(path) for line in trial.rungs if line["rung"] == 1]
    assert way == DIE_AFTER or attempts == [2] * len(attempts)


def test_trial_that_kills_its_worker_fails_after_two_retries(tmp_path, path, dataset, monkeypatch):
    sent = []

    def answer(number, rung):
        sent.append(number)
        return DIE if number == 2 else outcome(rung, merit(number, rung))

    search(mixed(tmp_path, "search.trials=6"), path, dataset, monkeypatch, answer)
    third = trials(path)[2]
    assert (third.end, third.rungs) == ("failed", [])
    assert sent.count(2) == 3
    detail = next(line["detail"] for line in read(path)[0] if line["kind"] == "end" and line["trial"] == 2)
    assert detail == "its process died 3 times, exit code -9: killed, for want of memory if nobody did it"
    assert all(trial.end for trial in trials(path)) and len(trials(path)) == 6


def test_error_in_a_worker_fails_its_trial_alone(tmp_path, path, dataset, monkeypatch):
    space = mixed(tmp_path, "search.trials=6")

    def answer(number, rung):
        return "Traceback: boom" if number == 0 else by_merit(number, rung)

    search(space, path, dataset, monkeypatch, answer)
    past = trials(path)
    assert past[0].end == "failed" and "failed" not in {trial.end for trial in past[1:]}
    assert "boom" in next(line["detail"] for line in read(path)[0] if line["kind"] == "end" and line["trial"] == 0)


def test_time_is_up(tmp_path, path, dataset, monkeypatch):
    found = Search(mixed(tmp_path), Ledger(path), deadline=-math.inf)
    assert found.propose() is None and found.records() == []


# --- who goes on

def answered(found: Search, trial, rung: int, score: float) -> End | None:
    """Report a score of a trial at a rung and return what the search says of it."""
    made = outcome(rung, score)
    return found.verdict(trial, made, found.report(trial, made))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_verdicts_are_those_of_rays_scheduler(tmp_path, path, sampler):
    """Forty trials at a time, which answer in any order; Ray's scheduler has one step of time for each rung."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    found = Search(mixed(tmp_path, "search.trials=41", f"search.sampler={sampler}"), Ledger(path))
    chance, rungs, said = random.Random(3), len(found.budgets), []
    theirs = ASHAScheduler(time_attr="t", metric="score", mode="max", grace_period=1, reduction_factor=3,
                           max_t=3 ** rungs)
    start, *drawn = [found.propose() for _ in range(41)]
    known = {trial.number: SimpleNamespace(trial_id=str(trial.number)) for trial in (start, *drawn)}
    for one in known.values():
        theirs.on_trial_add(None, one)
    alive = dict.fromkeys([start, *drawn], 0)
    while alive:
        trial = chance.choice(list(alive))
        rung, score = alive[trial], chance.randint(0, 12) / 12      # few scores: many ties
        decision = theirs.on_trial_result(None, known[trial.number], {"t": 3 ** rung, "score": score})
        end = answered(found, trial, rung, score)
        if rung == rungs - 1:
            assert end is End.FINISHED
        elif trial is start:
            assert end is None, "start trials are never stopped"
        else:
            assert (end is End.STOPPED) == (decision == TrialScheduler.STOP), (trial.number, rung, score)
            said.append(end)
        alive[trial] += 1
        if end:
            del alive[trial]
    assert min(said.count(None), said.count(End.STOPPED)) > 10


@pytest.mark.parametrize("sampler", ["random", "bayesian"])
def test_rays_scheduler_asks_the_search_and_the_ledger_has_it_first(tmp_path, path, monkeypatch, sampler):
    """What Ray is told of each result is what another search says that hears the same; no end is left unwritten."""
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

    from autotricks.tuning.engines import ray_tune
    from autotricks.tuning.engines.ray_trainable import OUTCOME

    space = mixed(tmp_path, f"search.sampler={sampler}", "search.trials=16")
    found, other = Search(space, Ledger(path)), Search(space, Ledger(path.with_name("other.jsonl")))
    chooser, chance, said = ray_tune.RaySearcher(found), random.Random(5), []
    scheduler = ray_tune.RungScheduler(found, chooser)
    monkeypatch.setattr(ray_tune.ray, "get", lambda weights: b"weights of a champion")
    assert isinstance(scheduler, FIFOScheduler) and not isinstance(scheduler, ASHAScheduler)
    for number in range(16):
        config, theirs = chooser.suggest(str(number)), other.propose()
        assert config["number"] == number and json.loads(config["bundle"]) == theirs.bundle.document()
        trial = SimpleNamespace(trial_id=str(number), config=config, num_failures=0)
        score = 0.01 if number % 4 == 1 else chance.uniform(0.5, 0.9)
        for rung in range(3):
            made = outcome(rung, score)
            result = {OUTCOME: [{"rung": rung, "metrics": made.metrics, "curve": [], "epochs": 1.0, "seconds": 0.0,
                                 "cpu": 0.0, "end": made.end.value if made.end else None, "weights": None}]}
            decision = scheduler.on_trial_result(None, trial, result)
            end = answered(other, theirs, rung, score)
            assert decision == (TrialScheduler.STOP if end else TrialScheduler.CONTINUE)
            said.append(end)
            last = read(path)[0][-1]
            assert (last["kind"], last["trial"]) == ("end" if end else "rung", number)
            if end:
                other.finish(theirs, end)
                break
    assert said.count(None) > 5 and said.count(End.STOPPED) > 1 and said.count(End.FINISHED) > 1
    assert found.champion.weights == b"weights of a champion"
    assert chooser.suggest("more") == ray_tune.Searcher.FINISHED


def test_the_model_decides_where_there_is_one(tmp_path, path, monkeypatch):
    """Halving would let the best of all go on, and stop the worst."""
    found = Search(loaded(tmp_path, MIXED), Ledger(path))
    start, good, bad = (found.propose() for _ in range(3))
    asked, kept = [], {good.number: False, bad.number: True}

    def keeps(number, budget):
        asked.append((number, budget))
        return kept.get(number, False)
    monkeypatch.setattr(found._chooser, "keeps", keeps)
    assert answered(found, start, 0, 0.1) is None, "start trials are never stopped"
    assert answered(found, good, 0, 0.9) is End.STOPPED
    assert answered(found, bad, 0, 0.05) is None and answered(found, bad, 1, 0.05) is None
    assert asked[-3:] == [(good.number, 1), (bad.number, 1), (bad.number, 3)]
    assert answered(found, bad, 2, 0.05) is End.FINISHED


@pytest.mark.parametrize("sampler", ["bayesian", "random"])
def test_an_outcome_that_says_its_end_is_believed_and_one_without_a_score_goes_no_further(tmp_path, path, sampler):
    found = Search(mixed(tmp_path, f"search.sampler={sampler}"), Ledger(path))
    found.propose()
    trial, other = found.propose(), found.propose()
    assert found.verdict(trial, outcome(1, 0.9, End.DIVERGED), None) is End.DIVERGED
    assert found.verdict(other, outcome(1, math.nan), None) is End.STOPPED


# --- why it is tried, and how long

def test_the_ledger_says_why_a_trial_is_tried(tmp_path, path, dataset, monkeypatch):
    """What was proposed has reasons, a start bundle has none; the table shows them."""
    search(loaded(tmp_path, MIXED, "search.trials=8", "start=[baseline, mixup_balanced_softmax]"), path, dataset,
           monkeypatch)
    lines = [line for line in read(path)[0] if line["kind"] == "trial"]
    assert all({"why", "step", "promise"}.isdisjoint(line) for line in lines[:2])
    assert all(line["why"] and line["step"] and line["promise"] >= 0 for line in lines[2:]) and len(lines) == 8
    assert [trial.why for trial in trials(path)] == [line.get("why", "") for line in lines]
    write_table(tmp_path / "trials.csv", trials(path))
    with (tmp_path / "trials.csv").open(newline="") as file:
        assert [row["why"] for row in csv.DictReader(file)] == [line.get("why", "") for line in lines]


def test_a_sampler_without_reasons_writes_none(tmp_path, path, dataset, monkeypatch):
    search(mixed(tmp_path, "search.trials=4"), path, dataset, monkeypatch)
    assert all({"why", "step", "promise"}.isdisjoint(line) for line in read(path)[0])


@pytest.mark.parametrize(("trainings", "count"), [(1, 1), (1.5, 2), (4, 3), (5, 4), (100, 20)])
@pytest.mark.parametrize("sampler", ["random", "bayesian"])
def test_a_search_ends_once_so_many_epochs_are_spent(tmp_path, path, dataset, monkeypatch, trainings, count, sampler):
    """A full training has 9 epochs; each of these spends 1 + 3 + 9, so that 4 times 9 are spent after three."""
    space = mixed(tmp_path, f"search.sampler={sampler}", f"search.trainings={trainings}")
    monkeypatch.setattr(Search, "_keeps", lambda *rest: True)
    search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    assert [(trial.number, trial.epochs) for trial in trials(path)] == [(number, 13) for number in range(count)]
    before = path.read_bytes()
    search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    assert path.read_bytes() == before, "nor does a resume go on"


def test_a_resume_may_spend_more(tmp_path, path, dataset, monkeypatch):
    for trainings, count in ((2, 2), (5, 4)):
        search(mixed(tmp_path, f"search.trainings={trainings}"), path, dataset, monkeypatch,
               lambda number, rung: outcome(rung, 0.5))
        assert len(trials(path)) == count


def test_a_grid_leaves_out_what_is_trained_first(tmp_path, path, dataset, monkeypatch):
    """Of 48 bundles the baseline is trained anyhow: no bundle twice, and none is missing."""
    space = loaded(tmp_path, COUNTED)
    search(space, path, dataset, monkeypatch)
    hashes = [trial.hash for trial in trials(path)]
    assert hashes[0] == space.start["baseline"].hash and len(hashes) == len(set(hashes)) == 48
