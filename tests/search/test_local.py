"""The local engine with real processes."""
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load as load_weights

from autotricks.core.bundle import Bundle
from autotricks.data import load as load_data
from autotricks.export import BUNDLE, WEIGHTS
from autotricks.report import REPORT
from autotricks.runs import folder as folders
from autotricks.runs.trial import RungPlan
from autotricks.space.load import load_bundle_file, load_space
from autotricks.trial import run_trial
from autotricks.tricks.catalog import bundle_from, make
from autotricks.tuning.engines.engine import TrainingOptions
from autotricks.tuning.engines.local import start_worker
from autotricks.tuning.engines.rung_training import arrays
from autotricks.workflows import search as experiment
from tests.conftest import timeless
from tests.tracking.test_teachers import SPACE, placed

from . import real


def test_every_trial_ends_and_start_trials_run_to_the_end(finished):
    past = real.trials(finished.folder)
    assert [trial.number for trial in past] == list(range(6))
    assert past[0].label == "baseline" and past[0].bundle["tricks"].keys() <= {"cosine", "sgd"}
    start = [trial for trial in past if trial.label]
    assert len(start) == 2
    assert [[line["budget"] for line in trial.rungs] for trial in start] == [list(real.BUDGETS)] * 2
    assert {trial.end for trial in start} == {"finished"}
    assert {trial.end for trial in past} == {"finished", "stopped"}
    further = {budget: budget - before for before, budget in zip((0, *real.BUDGETS), real.BUDGETS, strict=False)}
    steps = len(finished.shipped[0][0].train) // 64
    for trial in past:      # a test of rising rates is spent beside the epochs that are trained
        tested = trial.bundle["tricks"].get("lr_finder", {}).get("iterations", 0) / steps
        assert all(len(line["curve"]) == further[line["budget"]] == line["epochs"] - tested * (line["rung"] == 0)
                   for line in trial.rungs)


def test_champion_is_the_best_finished_score(finished):
    past = [trial for trial in real.trials(finished.folder) if trial.end == "finished"]
    best = max(trial.score(real.METRIC) for trial in past)
    champion = finished.result.champion
    assert champion.score == best == past[[trial.number for trial in past].index(champion.trial.number)].score(
        real.METRIC)
    bundle = load_bundle_file(finished.folder / BUNDLE)
    assert bundle.bundle == champion.trial.bundle
    assert bundle.document.result["score"] == best and bundle.document.result["trial"] == champion.trial.number
    assert finished.result.baseline == past[0].score(real.METRIC)


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_process_leaves_nothing_to_the_next_trial(finished):
    """A worker's first trial, a later one of it, and the same two after others in this process: bit for bit."""
    loaded = load_bundle_file(finished.folder / BUNDLE)
    data = load_data(loaded.document.data.settings()).dataset
    champion, past = finished.result.champion.trial.number, real.trials(finished.folder)
    assert champion > 0 and set(finished.crowned) == {0, champion}
    run_trial(replace(loaded.bundle, seed=9, uses=(make("adabound", {}), make("cutmix", {}))).rescaled(1), data)
    run_trial(Bundle((make("sgd", {"lr": 1e6}),), epochs=1, seed=3), data)
    for number in (champion, 0):
        again = run_trial(bundle_from(past[number].bundle), data)
        assert same(load_weights(finished.crowned[number]), again.model.state_dict())
        assert timeless(again.metrics) == timeless(past[number].rungs[-1]["metrics"])
    assert (finished.folder / WEIGHTS).read_bytes() == finished.crowned[champion]


def test_test_split_never_leaves(finished):
    (dataset, parts), = finished.shipped
    assert dataset.test is None and set(parts) == {"train", "validation", "rest", "weights", "folds"}
    whole = load_data(load_space("long_tail.yaml").document.data.settings()).dataset
    assert whole.test is not None and len(whole.test) > 400
    assert [len(parts[name][1]) for name in ("train", "validation")] == [len(whole.train), len(whole.validation)]
    shipped = {row.tobytes() for name in ("train", "validation") for row in parts[name][0]}
    assert not shipped & {row.tobytes() for row in whole.test.images.numpy()}


def test_folder_holds_what_a_search_leaves(finished):
    assert {path.name for path in finished.folder.iterdir()} == {
        folders.SPACE, folders.LEDGER, folders.TABLE, folders.DATA, BUNDLE, WEIGHTS, ".lock",
        folders.VERSIONS, REPORT}
    assert finished.result.spent == sum(trial.epochs for trial in real.trials(finished.folder))


def test_no_process_is_left(finished):
    assert not finished.left


@pytest.mark.slow
def test_used_worker_trains_as_a_fresh_one(dataset):
    """The first trial of a process and, after others, one of them diverged, the same again: bit for bit."""
    tricks = [make(name, values) for name, values in (
        ("sgd", {"lr": 0.05}), ("cosine", {}), ("mixup", {}), ("ema", {}), ("class_balanced", {"start": 0.5}),
        ("crop", {"padding": 1}), ("cutout", {}), ("no_bias_decay", {}), ("gradient_clipping", {}))]
    wanted = Bundle(tuple(tricks), epochs=3, batch_size=16)
    others = [Bundle((make("adabound", {}), make("cutmix", {}), make("focal", {}), make("flip", {})), epochs=3, seed=5),
              Bundle((make("sgd", {"lr": 1e6}),), epochs=3, batch_size=16), wanted]
    worker, answers = start_worker(arrays(dataset), TrainingOptions(), 0), []
    try:
        for bundle in (wanted, *others, wanted):
            worker.pipe.send((RungPlan((3,)), bundle, 0))
            answers.append(worker.pipe.recv())
    finally:
        worker.process.kill()
        worker.process.join()
    first, *between, last = answers
    assert [outcome.end for outcome in between] == ["finished", "diverged", "finished"]
    assert timeless(first.metrics) == timeless(last.metrics) and first.curve[:-1] == last.curve[:-1]
    assert same(load_weights(first.weights), load_weights(last.weights))


class Killer:
    """A listener that kills the worker in the midst of the last rung of the first trial."""

    def __init__(self):
        self.killed = []

    def started(self, trial):
        pass

    def kill(self):
        worker, = multiprocessing.active_children()
        self.killed.append(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)

    def reached(self, trial, outcome, budget, score):
        if (trial.number, outcome.rung) == (0, 1):
            threading.Timer(0.05, self.kill).start()

    def ended(self, trial, end, score):
        pass


@pytest.fixture(scope="module")
def hurt(tmp_path_factory):
    """A search of good and absurd learning rates in which a worker is killed."""
    folder, killer = tmp_path_factory.mktemp("hurt"), Killer()
    (folder / "hurt.yaml").write_text(
        "name: hurt\ndata: {source: digits, imbalance: {factor: 50}}\ntricks:\n"
        "  sgd: {lr: {choice: [1e6, 0.05]}}\n  label_smoothing: {epsilon: {uniform: [0.0, 0.2]}}\n", "utf-8")
    loaded = load_space(folder / "hurt.yaml", real.SMALL)
    options = experiment.Options(root=folder / "runs", tracking="off", confirm=False)
    result = experiment.search(loaded, options, [killer])
    return SimpleNamespace(result=result, killed=killer.killed, folder=result.folder)


@pytest.mark.slow
def test_killed_worker_is_replaced_and_its_trial_counts_once(hurt):
    lines = real.read(hurt.folder / folders.LEDGER)[0]
    assert len(hurt.killed) == 1
    attempts = [line["attempt"] for line in lines if line["kind"] == "rung"]
    assert attempts[:3] == [1, 1, 2] and set(attempts[3:]) == {1}     # it went on from the rung it had reached
    assert [line["trial"] for line in lines if line["kind"] == "trial"] == list(range(6))
    assert [line["trial"] for line in lines if line["kind"] == "end"] == list(range(6))
    rungs = [(line["trial"], line["rung"]) for line in lines if line["kind"] == "rung"]
    assert len(rungs) == len(set(rungs))
    assert "failed" not in {trial.end for trial in real.trials(hurt.folder)}
    assert not real.below(os.getpid())


@pytest.mark.slow
def test_absurd_rate_diverges_and_is_never_champion(hurt):
    ends = {1e6: set(), 0.05: set()}
    for trial in real.trials(hurt.folder)[1:]:
        ends[trial.bundle["tricks"]["sgd"]["lr"]].add(trial.end)
    assert ends[1e6] == {"diverged"} and "diverged" not in ends[0.05]
    assert load_bundle_file(hurt.folder / BUNDLE).bundle.document()["tricks"].get("sgd", {}).get("lr") != 1e6
    assert hurt.result.champion.trial.bundle == load_bundle_file(hurt.folder / BUNDLE).bundle


@pytest.mark.slow
def test_compressed_comes_to_the_same_last_rung(finished, tmp_path):
    """Trial by trial: what was trained to the end has the figures of the one long run, rung 0 has others."""
    result = real.search(tmp_path, "search.rungs.fidelity=compressed", "search.trials=3")
    other, same = real.trials(finished.folder), 0
    for trial in real.trials(result.folder):
        assert trial.hash == other[trial.number].hash
        if trial.end == other[trial.number].end == "finished":
            same += 1
            assert timeless(trial.rungs[-1]["metrics"]) == timeless(other[trial.number].rungs[-1]["metrics"])
            assert trial.rungs[0]["metrics"] != other[trial.number].rungs[0]["metrics"]
            assert trial.epochs == 7 and other[trial.number].epochs == 4
    assert same >= 2


def test_workers_are_forked_where_torch_is(dataset):
    """What a worker needs has been imported when it starts: it answers in a fraction of what importing torch takes."""
    start_worker(arrays(dataset), TrainingOptions(), 0).process.kill()    # the server is up from here on
    started = time.monotonic()
    worker = start_worker(arrays(dataset), TrainingOptions(), 0)
    worker.pipe.send((RungPlan((1,)), Bundle(epochs=1, batch_size=16), 0))
    answer = worker.pipe.recv()
    worker.process.kill()
    answered = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    assert answer.end == "finished" and answered - started < (time.monotonic() - answered) / 2


def test_workers_in_another_folder_find_what_the_space_names(finished, tmp_path, tmp_path_factory, monkeypatch):
    """A worker process starts where the program then is; the paths are those of where the space was read."""
    def written(tricks):
        (tmp_path / "taught.yaml").write_text(SPACE + tricks)
        return tmp_path

    monkeypatch.chdir(tmp_path)
    placed(written, finished)
    space = load_space("taught.yaml")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = experiment.search(space, experiment.Options(tracking="off", confirm=False))
    assert [trial.end for trial in result.trials] == ["finished"] * 2


def test_a_program_on_standard_input_has_workers_too():
    """Python calls such a program `<stdin>`, which no worker finds."""
    program = ("from autotricks.tuning.engines.worker_context import worker_context\n"
               "worker = worker_context().Process(target=abs, args=(1,))\n"
               "worker.start()\nworker.join()\nprint(worker.exitcode)\n")
    ran = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=120)
    assert ran.stdout == "0\n" and "Traceback" not in ran.stderr
