"""Searches killed, resumed, refused: through the command line where a driver must die."""
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
import torch

from autotricks.errors import DataError, InputError, ResourceError, RunError
from autotricks.export import BUNDLE, WEIGHTS
from autotricks.runs import folder as folders
from autotricks.space.load import load_space
from autotricks.workflows import search as experiment
from autotricks.workflows.reopen import relocate, reopened

from . import real
from .scripted import in_threads


def again(root, folder):
    """Go on with a run, here, and do not confirm it."""
    return experiment.search(experiment.resume(folder), experiment.Options(root, folder, tracking="off", confirm=False))


def arguments(root, *overrides):
    words = [word for text in (*real.SMALL, *overrides) for word in ("--set", text)]
    return ["search", "--space", "long_tail.yaml", "--no-confirm", *words, "--tracking", "off", "--root", str(root)]


def killed(root, moment, *overrides, seconds=90):
    """Start a search, kill its driver when `moment` says so of the ledger's size, and return its folder."""
    driver, end = real.start(*arguments(root, *overrides)), time.monotonic() + seconds
    try:
        while not moment(ledger_of(root)):
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end
            time.sleep(0.005)
        driver.kill()
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    # Ray's own agents may need a minute to notice; what trains must stop at once
    assert real.gone(lambda: {number for number, words in real.of_session(driver.pid).items()
                              if "ray::" not in words or "Trainable" in words}, 30), "the workers outlive their driver"
    return next(root.iterdir())


def ledger_of(root) -> bytes | None:
    path = next(root.glob(f"*/{folders.LEDGER}"), None)
    return path.read_bytes() if path else None


def kept(before: list, folder) -> None:
    """Hold a resumed ledger against its lines before: all there, nothing finished begun again, no rung twice."""
    lines = real.read(folder / folders.LEDGER)[0]
    assert lines[:len(before)] == before
    ended = {line["trial"] for line in before if line["kind"] == "end"}
    assert not ended & {line.get("trial") for line in lines[len(before):]}
    for kind in ("rung", "end"):
        found = [(line["trial"], line.get("rung")) for line in lines if line["kind"] == kind]
        assert len(found) == len(set(found))


def test_driver_killed_and_search_resumed(finished, tmp_path):
    count = random.Random(0).randint(1, len(real.read(finished.folder / folders.LEDGER)[0]) - 1)
    print("killed after line", count)
    folder = killed(tmp_path, lambda content: content is not None and content.count(b"\n") >= count)
    before, _ = real.read(folder / folders.LEDGER)
    result = again(tmp_path, folder)
    kept(before, folder)
    assert real.story(folder) == real.story(finished.folder)
    assert result.champion.score == finished.result.champion.score
    assert (folder / WEIGHTS).read_bytes() == (finished.folder / WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("engine", real.ENGINES)
@pytest.mark.parametrize("seed", range(5))
def test_driver_killed_at_random_and_resumed(finished, tmp_path, engine, seed):
    """The moment is drawn from the time that the search takes after its ledger is there, Ray's start included."""
    chance, began = random.Random(f"{engine} {seed}"), []
    wait = chance.uniform(0, 12 if engine == "ray" else 9)
    print("killed after", wait, "s")

    def moment(content):
        if content is not None and not began:
            began.append(time.monotonic())
        return began and (time.monotonic() - began[0] > wait or content.count(b"\n") >= 22)

    folder = killed(tmp_path, moment, f"search.engine={engine}")
    before, _ = real.read(folder / folders.LEDGER)
    done = real.run("search", "--no-confirm", "--resume", folder.name, "--root", str(tmp_path), "--tracking", "off",
                    timeout=150)
    assert done.returncode == 0, done.stderr
    kept(before, folder)
    assert real.story(folder) == real.story(finished.folder)
    assert (folder / WEIGHTS).read_bytes() == (finished.folder / WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("engine", real.ENGINES)
@pytest.mark.parametrize("wait", [0.2, 9])
def test_interrupted_search_says_how_to_go_on(tmp_path, engine, wait):
    driver = real.start(*arguments(tmp_path, f"search.engine={engine}", "search.trials=200"))
    try:
        while ledger_of(tmp_path) is None:
            time.sleep(0.01)
        time.sleep(wait)
        os.killpg(driver.pid, signal.SIGINT)       # as a terminal does: to the driver and its workers
        sent = time.monotonic()
        _, errors = driver.communicate(timeout=60)
        assert time.monotonic() - sent < 10
    finally:
        driver.kill()
    folder = next(tmp_path.iterdir())
    assert driver.returncode == 130
    assert errors.splitlines()[-1].endswith(f"autotricks search --resume {folder}") and "Traceback" not in errors
    assert real.gone(lambda: real.of_session(driver.pid), 20)
    real.read(folder / folders.LEDGER)


def test_finished_search_resumed_ends_at_once(finished, tmp_path):
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    names = [folders.SPACE, folders.LEDGER, folders.TABLE, BUNDLE, WEIGHTS]
    before = [(folder / name).read_bytes() for name in names]
    started = time.monotonic()
    result = again(tmp_path, folder)
    assert time.monotonic() - started < 5
    assert result.champion.trial.bundle == finished.result.champion.trial.bundle
    assert result.champion.score == finished.result.champion.score
    assert result.trials == finished.result.trials
    assert [(folder / name).read_bytes() for name in names] == before


def test_torn_ledger_is_resumed_with_a_notice(finished, tmp_path):
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    with (folder / folders.LEDGER).open("ab") as file:
        file.write(b'{"seq":99,"kind":"tri')
    result = again(tmp_path, folder)
    assert result.notices == ("the ledger's last line was torn and has been dropped",)
    assert (folder / folders.LEDGER).read_bytes() == (finished.folder / folders.LEDGER).read_bytes()


def test_damaged_ledger_is_refused(finished, tmp_path):
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    content = (folder / folders.LEDGER).read_bytes()
    (folder / folders.LEDGER).write_bytes(content.replace(b'"label":"baseline"', b'"label":"besaline"', 1))
    with pytest.raises(RunError, match=r"trials\.jsonl:2  this line of the ledger is damaged"):
        again(tmp_path, folder)


def on_arrays(tmp_path):
    """Search images in tmp_path/data.npz until no trial has begun; return images, labels and the run's folder."""
    chance = np.random.default_rng(0)
    images, labels = chance.integers(0, 255, (60, 8, 8, 1), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "data.npz", x=images, y=labels)
    overrides = (f"data.source=npz:{tmp_path}/data.npz", "data.imbalance=null")
    return images, labels, real.search(tmp_path / "runs", *overrides, seconds=-1.0).folder


def test_changed_data_is_refused(tmp_path):
    images, labels, folder = on_arrays(tmp_path)
    options = experiment.Options(folder.parent, folder, tracking="off", seconds=-1.0, confirm=False)
    experiment.search(experiment.resume(folder), options)
    images[7, 3, 3] += 1
    np.savez(tmp_path / "data.npz", x=images, y=labels)
    with pytest.raises(RunError, match="its data had the fingerprint") as caught:
        experiment.search(experiment.resume(folder), options)
    assert len(caught.value.problems) == 1 and str(folder) in str(caught.value)


def test_the_same_data_elsewhere_go_on(tmp_path):
    """They are moved, and the run says where they lie now; others are refused, and the run stays as it was."""
    images, labels, folder = on_arrays(tmp_path)
    (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    options = experiment.Options(folder.parent, folder, tracking="off", seconds=-1.0, confirm=False)
    with pytest.raises(DataError) as caught:
        experiment.search(experiment.resume(folder), options)
    assert caught.value.problems[-1] == "If the run's data lie elsewhere now, name them: --data SOURCE."
    images[7, 3, 3] += 1
    np.savez(tmp_path / "others.npz", x=images, y=labels)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(RunError, match="its data had the fingerprint"):
        relocate(folder, f"npz:{tmp_path}/others.npz")
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert relocate(folder, f"npz:{tmp_path}/moved.npz") == (
        f"{folder}: its data were at npz:{tmp_path}/data.npz and are at npz:{tmp_path}/moved.npz; their fingerprint is "
        "the same, so it goes on.")
    assert experiment.search(experiment.resume(folder), options).folder == folder
    assert load_space(folder / folders.SPACE).document.data.source == f"npz:{tmp_path}/moved.npz"
    with reopened(folder, (), False, engine=in_threads()) as run:
        assert run.data.dataset.source == f"npz:{tmp_path}/moved.npz"


@pytest.mark.parametrize("text", ["training.epochs=9", "search.seed=1", "search.sampler=tpe", "data.source=digits",
                                  "tricks.sgd.lr=0.1", "search.rungs.first=2", "search.trialss=3"])
def test_other_settings_are_refused(finished, text):
    with pytest.raises(RunError, match="a resumed search may change") as caught:
        experiment.resume(finished.folder, ["search.trials=9", text])
    assert text in str(caught.value)


def test_more_trials_may_be_asked_for(finished):
    assert experiment.resume(finished.folder, ["search.trials=9"]).document.search.trials == 9


def test_more_epochs_may_be_asked_for(finished):
    assert experiment.resume(finished.folder, ["search.trainings=9.5"]).document.search.trainings == 9.5


def test_trials_are_added_to_those_of_the_run(finished):
    assert experiment.resume(finished.folder, more=3).document.search.trials == 9


def test_trials_are_added_to_those_that_there_are_where_epochs_ended_the_search(tmp_path):
    """The epochs of one training are spent by the baseline alone, of six trials: three more make four."""
    result = real.search(tmp_path, "search.trainings=1")
    assert len(result.trials) == 1
    more = experiment.resume(result.folder, more=3).document.search
    assert (more.trials, more.trainings) == (4, None)
    options = experiment.Options(tmp_path, result.folder, tracking="off", confirm=False)
    assert len(experiment.search(experiment.resume(result.folder, more=3), options).trials) == 4


def test_edited_space_is_refused_with_a_difference(finished, tmp_path):
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    text = (folder / folders.SPACE).read_text()
    (folder / folders.SPACE).write_text(text.replace("batch_size: 64", "batch_size: 32"))
    with pytest.raises(RunError) as caught:
        again(tmp_path, folder)
    assert caught.value.problems[1:] == ("  space.training.batch_size: was 64, is 32",)
    fewer = text.replace("trials: 6", "trials: 5")
    (folder / folders.SPACE).write_text(fewer)
    with pytest.raises(RunError, match="changed since it was written") as caught:
        again(tmp_path, folder)
    assert caught.value.problems[1:] == ("  space.search.trials: was 6, is 5",)
    (folder / folders.SPACE).write_text(fewer.partition("\n")[2])     # without its checksum, as the error says
    again(tmp_path, folder)     # how much is searched may change, and is recorded
    assert real.read(folder / folders.LEDGER)[0][-1]["space"]["search"]["trials"] == 5


def test_folder_in_use_names_its_owner(finished, tmp_path):
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    options = experiment.Options(tmp_path, folder, tracking="off", confirm=False)
    with folders.locked(folder):
        started = time.monotonic()
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} on {os.uname().nodename} since 2"):
            experiment.search(experiment.resume(folder), options)
        assert time.monotonic() - started < 1
        assert (folder / ".owner").exists()        # the refused one did not take it away
    assert not (folder / ".owner").exists()
    experiment.search(experiment.resume(folder), options)


@pytest.mark.parametrize("content", [None, ""])
def test_folder_of_no_run_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / folders.LEDGER).write_text(content)
    with pytest.raises(RunError, match=r"holds no space\.yaml"):
        experiment.resume(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_gpu_that_is_not_there_is_refused_at_once(tmp_path, engine):
    loaded, started = real.small("resources.gpus=1", f"search.engine={engine}"), time.monotonic()
    with pytest.raises(ResourceError, match="1 GPUs a trial, but this machine has 0") as caught:
        real.search(tmp_path, loaded=loaded)
    assert time.monotonic() - started < 5
    assert caught.value.exit_code == 2 and list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_gpu_that_is_not_there_is_bad_input_to_the_command_line(tmp_path):
    done = real.run(*arguments(tmp_path, "resources.gpus=1", "search.engine=ray"), timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "resources.gpus" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(("prior", "said"), [("missing.json", "cannot be read"), ("space.yaml", "is no prior")])
def test_search_with_a_bad_prior_leaves_no_folder(tmp_path, monkeypatch, prior, said):
    (tmp_path / "space.yaml").write_text("name: mine\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"search.prior: .*{said}"):
        real.search(tmp_path / "runs", "search.sampler=bayesian", f"search.prior={prior}")
    assert not (tmp_path / "runs").exists()


KEEP = "objective={metric: val/accuracy, mode: max, keep: {metric: val/many_shot, within: 0.01}}"


def test_figure_that_the_data_do_not_have_cannot_be_kept(tmp_path):
    with pytest.raises(InputError) as caught:
        real.search(tmp_path, KEEP)
    line, = caught.value.problems
    assert "objective.keep.metric: val/many_shot does not exist for this data: no class has so many or so" in line


@pytest.mark.parametrize("override", ["data.source=npz:missing.npz", "search.sampler=grid",
                                      "objective.metric=val/many_shot", KEEP])
def test_refused_search_leaves_no_folder(tmp_path, override):
    with pytest.raises(InputError):
        real.search(tmp_path, override)
    assert list(tmp_path.iterdir()) == []
