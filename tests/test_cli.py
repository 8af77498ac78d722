"""The command line: exit codes, what is printed where, and never a traceback."""
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

import autotricks
from autotricks.cli.views import cards
from autotricks.cli.views.space import start_trials
from autotricks.errors import InputError
from autotricks.tricks.catalog import catalog
from tests.conftest import sampled

from .search import real
from .search.real import hears

COMMAND = Path(sys.executable).parent / "autotricks"


def run(*words):
    """Run the command as a user does; whatever it says, it says without a traceback."""
    ran = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """Data, as a space names them, that are trained on in no time: a probe has little to find out."""
    path = tmp_path_factory.mktemp("few") / "few.npz"
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    np.savez(path, x=images, y=np.arange(60) % 3)
    return f"data: {{source: 'npz:{path}'}}\n"


def test_the_schema_is_json(here):
    code, out, err = here("schema")
    assert (code, err) == (0, "") and json.loads(out)["properties"]["tricks"]["properties"].keys() == catalog().keys()


# --- what is refused

@pytest.mark.parametrize(("words", "said"), [
    (["serch"], "No such command 'serch'. Did you mean 'search'"),
    (["check", "long_tail.yaml", "--jsn"], "No such option: --jsn"),
    (["search", "--spce", "x"], "--space"),
    (["search", "--trials", "many"], "Invalid value for '--trials'"),
    (["search", "--trials", "0"], "Invalid value for '--trials'"),
    (["tricks", "shwo"], "Did you mean 'show'?"),
    (["tricks", "show", "mixpu"], "mixpu: no such trick. Did you mean mixup?"),
    (["check"], "Missing argument"),
    (["check", "long_tial.yaml"], "long_tial.yaml: no such file. Did you mean long_tail.yaml or long_tail_cifar.yaml?"),
    (["train", "nope.yaml"], "nope.yaml: no such file."),
    (["search"], "search: give either --space FILE or --resume RUN."),
    (["search", "--space", "x.yaml", "--time", "soon"], "--time soon: expected a time such as 90s, 30m or 2h."),
    (["submit", "--space", "x.yaml", "--time", "soon"], "--time soon: expected a time such as 90s, 30m or 2h."),
    (["doctor", "x.yaml"], "doctor: a bundle, --space, --data and --device go with --profile."),
    (["doctor", "--profile", "x.yaml", "--space", "y.yaml"], "doctor: give either a bundle file or --space FILE."),
    (["search", "--space", "x.yaml", "--resume", "latest"], "give either --space FILE or --resume RUN."),
    (["export", "latest", "--format", "onxx"], "--format onxx: not offered; formats: bundle, script, onnx, pt2."),
    (["ui"], "runs: holds no mlflow.db. Run a search first"),
    (["promote", "x/1", "--tracking", "off"], "--tracking off: there is nothing to put it into. Name MLflow's"),
    (["sync", "latest", "--tracking", "off"], "--tracking off: there is nothing to put it into. Name MLflow's")])
def test_what_is_typed_wrong(here, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = here(*words)
    assert code == 2 and out == "" and said in err


def test_an_unknown_command_from_outside():
    ran = run("serch")
    assert ran.returncode == 2 and ran.stdout == "" and "Did you mean 'search'" in ran.stderr


def test_nothing_given_shows_the_commands():
    ran = run()
    assert ran.returncode == 2
    assert all(f"\n  {name} " in ran.stdout + ran.stderr for name in ("search", "check", "tricks"))


def test_a_bad_space_is_refused_with_all_that_is_wrong(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: demo\ntrainig: {}\ntricks:\n  mixpu: {}\n  sgd: {lr: -1}\n")
    code, out, err = here("check", "bad.yaml", "--set", "=5")
    assert code == 2 and out == ""
    said = err.splitlines()
    assert len(said) == 4
    for line, words in zip(said, [
            "--set =5: expected key.key=value, such as training.epochs=81.",
            "bad.yaml:2:1  trainig: no such key. Did you mean training? A file has name, ",
            "bad.yaml:4:3  tricks.mixpu: no such trick. Did you mean mixup? 'autotricks tricks list' shows all.",
            "bad.yaml:5:9  tricks.sgd.lr: -1 is not allowed; lr must be > 0 "], strict=True):
        assert line.startswith(words)


def test_a_failure_of_ours_is_one_line_and_debug_shows_where(here, monkeypatch):
    def failed(name, as_json):
        raise RuntimeError("out of luck")
    monkeypatch.setattr(cards, "trick", failed)
    assert here("tricks", "show", "sgd") == (
        1, "", "autotricks failed: RuntimeError: out of luck (--debug shows where)\n")
    with pytest.raises(RuntimeError, match="out of luck"):
        here("tricks", "show", "sgd", "--debug")


def test_an_interrupt_has_an_exit_code_of_its_own(here, monkeypatch):
    def interrupted(name, as_json):
        raise KeyboardInterrupt
    monkeypatch.setattr(cards, "trick", interrupted)
    assert here("tricks", "show", "sgd")[0] == 130


@pytest.mark.parametrize("words", [("--help",), *(pytest.param(words, marks=pytest.mark.slow) for words in (
    ("tricks", "list"), ("check", "long_tail.yaml")))])
def test_whoever_closes_the_output_gets_no_traceback(words):
    ran = subprocess.run(f"{shlex.join([str(COMMAND), *words])} >&-", shell=True, capture_output=True, text=True,
                         timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_command_prints_nowhere_where_there_is_no_output(here, monkeypatch):
    """What Python makes of an output that the caller has closed."""
    monkeypatch.setattr(sys, "stdout", None)
    assert here("tricks", "list") == (0, "", "")


@pytest.mark.parametrize("words", [("--help",), pytest.param(("tricks", "list"), marks=pytest.mark.slow)])
def test_output_that_cannot_be_written_is_a_failure(words):
    with open("/dev/full", "w") as full:
        ran = subprocess.run([COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert ran.returncode == 1 and len(ran.stderr.splitlines()) == 1 and "No space left" in ran.stderr


def test_output_that_cannot_be_written_half_way_is_a_failure(here, monkeypatch):
    with suppress(OSError), open("/dev/full", "w", buffering=1) as full:    # the first line is refused, and the close
        monkeypatch.setattr(sys, "stdout", full)
        code, _, said = here("tricks", "list")
    assert code == 1 and len(said.splitlines()) == 1 and "No space left" in said


def test_a_folder_that_is_gone_is_named(tmp_path):
    place = tmp_path / "gone"
    place.mkdir()
    words = f"rmdir {shlex.quote(str(place))}; {shlex.quote(str(COMMAND))} tricks list"
    ran = subprocess.run(words, shell=True, cwd=place, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr == "autotricks: the folder in which it was started is gone. Change to another.\n"


TRICKS, CHECK, SEARCH = (("tricks", "list"), ("check", "long_tail.yaml"),
                         ("search", "--space", "long_tail.yaml", "--tracking", "off"))
# the first is done after half a second where all is compiled
MOMENTS = [*((TRICKS, wait) for wait in (0, 0.1, 0.3)),
           *((words, wait) for words in (CHECK, SEARCH) for wait in (0, 0.1, 0.3, 0.6))]


@pytest.mark.parametrize(("words", "wait"), sampled(MOMENTS, (TRICKS, 0.1), (CHECK, 0), (CHECK, 0.3), (SEARCH, 0.1),
                                                    (SEARCH, 0.6)))
def test_ctrl_c_before_anything_is_imported(tmp_path, words, wait):
    """Signals are heard before a library is imported; before Python itself is up nobody can."""
    process = real.start(*words, cwd=tmp_path)
    while not hears(process.pid):
        time.sleep(0.001)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")
    assert time.monotonic() - sent < 10 and real.gone(lambda pid=process.pid: real.of_session(pid), 2)


def test_no_process_outlives_a_refusal(tmp_path):
    """What forks workers is started before the space is read, and imports for seconds."""
    process = real.start("search", "--space", "long_tail.yaml", "--set", "search.engine=local", "--set",
                         "search.rungs.first=900", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and len(err.splitlines()) == 1
    assert real.gone(lambda: real.of_session(process.pid), 1)


def test_a_trick_of_two_lines_is_said_in_one(here):
    code, out, err = here("tricks", "show", "mix\n\x1b[31mup")
    assert (code, out) == (2, "") and err.splitlines() == [r"mix\n\x1b[31mup: no such trick."]


# --- check

def test_check_says_what_a_start_trial_leaves_no_place_for(here, tmp_path, few):
    path = tmp_path / "space.yaml"
    path.write_text(f"name: demo\n{few}start: [mixup_balanced_softmax]\n"
                    "tricks: {sgd: {}, cutmix: {always: true}}\n")
    lines = " ".join(here("check", str(path))[1].split())
    assert "baseline: cutmix + sgd mixup_balanced_softmax: " in lines
    assert "+ warmup; without cutmix, always there otherwise: its own tricks leave no place Rungs:" in lines


def test_check_prints_its_sections(here):
    code, out, err = here("check", "long_tail.yaml", "--set", "search.trials=12")
    assert code == 0 and err == ""
    places = [out.index(word) for word in (
        "long_tail: ", " combinations of choices, ", "\n  optimizer.base       one of  sgd  [lr ",
        "\nStart trials:\n  baseline: ", "\nNever together:\n", "\nAdvised against (left out):\n", "\nRungs:\n",
        "\nCost: at most 600 epochs, those of 12 full trainings, in at most 12 trials; ",
        "confirmation then takes up to 25 full trainings.\n",
        "Next: autotricks search --space long_tail")]
    assert places == sorted(places)


def test_check_counts_the_trials_where_nothing_else_bounds_them(here, tmp_path, few):
    """Of 12 trials with the sampler of old, or the epochs of 2.5 trainings of 50 each."""
    (tmp_path / "small.yaml").write_text(f"name: small\n{few}"
                                         "training: {epochs: 50}\nsearch: {trials: 12, sampler: random}\n"
                                         "tricks: {mixup: {alpha: search}}\n")
    words = ("check", str(tmp_path / "small.yaml"))
    assert "full trainings, in at most 12 trials; confirmation" in here(*words, "--set", "search.trainings=null")[1]
    bounded = here(*words, "--set", "search.trainings=2.5")[1]
    assert "Cost: about 125 epochs, those of 2.5 full trainings, in at most 12 trials; confirmation" in bounded


def test_an_unknown_task_is_one_line_with_its_place(here, tmp_path):
    (tmp_path / "boxes.yaml").write_text("name: boxes\ndata: {task: detektion}\ntricks:\n  mixup: {}\n")
    code, out, err = here("check", str(tmp_path / "boxes.yaml"))
    assert (code, out) == (2, "") and err == (
        f"{tmp_path}/boxes.yaml:2:8  data.task: 'detektion' is not allowed; task must be one of classification, "
        "multilabel, detection.\n")


def test_a_package_whose_trick_cannot_be_loaded_is_named(here, monkeypatch):
    from autotricks.tricks import catalog

    entry = EntryPoint("mine", "nothere.tricks:Mine", catalog.ENTRY_POINTS)
    catalog.catalog.cache_clear()
    monkeypatch.setattr(catalog, "entry_points", lambda group: [entry])
    try:
        code, out, err = here("tricks", "list")
    finally:
        catalog.catalog.cache_clear()
    assert (code, out) == (2, "")
    assert err == ("a package: its trick mine (nothere.tricks:Mine) cannot be loaded: No module named 'nothere'. Mend "
                   "that package, or uninstall it.\n")


def test_python_is_told_what_a_search_takes():
    with pytest.raises(InputError, match=r"search: 'long_tail.yaml' is no space. Load it first: search\(load_space"):
        autotricks.search("long_tail.yaml")
    with pytest.raises(InputError, match=r"Options.engine: 'local' is no engine. A space names its own"):
        autotricks.search(autotricks.load_space("long_tail"), autotricks.Options(engine="local"))
    assert autotricks.load_space("long_tail", "search.trials=7").document.search.trials == 7


def test_check_for_machines(here, tmp_path, monkeypatch, few):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(f"name: small\n{few}"
                                         "training: {epochs: 8}\nsearch: {trials: 9, sampler: random, "
                                         "rungs: {first: 2, reduction: 2}}\n"
                                         "tricks:\n  mixup: {}\n  cutmix: {alpha: search}\n")
    code, out, _ = here("check", "small.yaml", "--set", "search.rungs.fidelity=compressed", "--json")
    found = json.loads(out)
    assert code == 0 and found["name"] == "small" and found["choices"] == 3
    assert list(found["seats"]) == ["batch.mix"] and len(found["quarrels"]) == 1 and found["advice"] == []
    # 8 trials are drawn beside the baseline, which is trained on every rung; half of them go on at each.
    assert found["rungs"] == [{"budget": 2, "trials": 9.0}, {"budget": 4, "trials": 5.0}, {"budget": 8, "trials": 3.0}]
    assert found["epochs"] == 9 * 2 + 5 * 4 + 3 * 8 and found["start"] == {"baseline": "no tricks"}
    prefix = json.loads(here("check", "small.yaml", "--json")[1])    # which goes on where it was
    assert prefix["rungs"] == found["rungs"] and prefix["epochs"] == 9 * 2 + 5 * (4 - 2) + 3 * (8 - 4)


def test_check_names_the_file_as_it_was_given(here, tmp_path, few):
    path = tmp_path / "my.yaml"
    path.write_text(f"name: small\n{few}tricks: {{mixup: {{}}}}\n")
    assert here("check", str(path))[1].endswith(f"Next: autotricks search --space {path}\n")


def test_check_ends_with_the_search_of_what_was_checked(here, tmp_path):
    """Its words, given to a shell, are those that were given to check."""
    path = tmp_path / "my space.yaml"
    path.write_text("name: small\ntraining: {epochs: 3}\nresources: {cpus: 1}\ntricks: {mixup: {}}\n")
    given = ("--set", "search.trials=3", "--set", "tricks.mixup.alpha={choice: [0.25, 0.333333333]}", "--trust")
    code, out, err = here("check", str(path), "--data", "digits", *given)
    last = out.splitlines()[-1].removeprefix("Next: ")
    assert (code, err) == (0, "")
    assert shlex.split(last) == ["autotricks", "search", "--space", str(path), "--data", "digits", *given]
    assert "mixup  [alpha 0.25 or 0.333333]" in out


def test_check_takes_data_as_search_does(here, tmp_path):
    """The file names digits; what is said is of the data named in their place."""
    code, out, err = here("check", "long_tail.yaml", "--data", "nosuch")
    assert code == 2 and out == "" and "data.source: " in err and "nosuch" in err
    photos = ("check", "long_tail.yaml", "--data", f"image_folder:{tmp_path}/none", "--set", "data.imbalance=null")
    code, out, err = here(*photos)
    assert (code, err) == (0, "")
    assert re.search(rf"\nTime: not known: data.source: {tmp_path}/none: no such file or folder\..*\nNext: ", out)


def test_check_says_how_long_the_search_takes(here, tmp_path):
    (tmp_path / "small.yaml").write_text("name: small\ntraining: {epochs: 3}\nsearch: {trials: 3, engine: local, "
                                         "parallel: 1}\nconfirm: {top: 1, seeds: 2}\ntricks:\n  mixup: {}\n")
    out = here("check", str(tmp_path / "small.yaml"))[1]
    assert re.search(r"\nTime: about \d+ (s|min), \d+ (s|min) of it for confirmation \(probe: [\d.]+ ms a step, 1 at a "
                     r"time(, beside other work for [\d.]+ cores)?\)\.\nNext: ", out)
    seconds = json.loads(here("check", str(tmp_path / "small.yaml"), "--json")[1])["seconds"]
    assert 5 < seconds < 600


def test_check_ends_as_the_search_would_where_the_machine_lacks_something(here):
    """A space for a GPU, on a machine without: the same lines, the same exit code, and still what it contains."""
    code, out, err = here("check", "speed.yaml", "--set", "resources.cpus=4096")
    refused = here("search", "--space", "speed.yaml", "--set", "resources.cpus=4096", "--tracking", "off")
    assert code == 2 and "\nCost: at most 480 epochs" in out and "Time:" not in out
    assert refused == (2, "", err) and "resources.cpus: 4096 cores a trial, but this machine offers" in err
    found = json.loads(here("check", "speed.yaml", "--set", "resources.cpus=4096", "--json")[1])
    assert found["refused"] == err.splitlines() and found["seconds"] is None


def test_a_start_trial_is_shown_by_what_it_adds_to_the_one_before(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("name: demo\nstart: [imagenet_baseline, imagenet_linear_scaling, imagenet_fp16, imagenet_resnet_c, "
                    "imagenet_cosine]\ntricks: {sgd: {}, cosine: {always: true}}\n")
    space = autotricks.load_space(path)
    lost = "without cosine, always there otherwise: its own tricks leave no place"
    assert start_trials(space.start, space.space) == [
        "baseline: cosine + sgd",
        "imagenet_baseline: center_crop + color_jitter + flip + pca_color + random_resized_crop + resnet_variant + sgd "
        f"+ step_every + xavier; {lost}",
        "imagenet_linear_scaling: imagenet_baseline + linear_scaling",
        "imagenet_fp16: imagenet_linear_scaling + fp16 + no_bias_decay + warmup + zero_gamma",
        "imagenet_resnet_c: imagenet_fp16 + resnet_variant (variant c)",
        "imagenet_cosine: imagenet_resnet_c + cosine + resnet_variant (variant d), without step_every"]


def test_check_joins_what_is_advised_of_several_tricks(here, tmp_path, few):
    path = tmp_path / "space.yaml"
    path.write_text(f"name: demo\n{few}"
                    "tricks: {sgd: {}, class_weights: {}, cost_sensitive: {}, balanced_softmax: {}}\n")
    advice = json.loads(here("check", str(path), "--json")[1])["advice"]
    both = [line for line in advice if line.startswith("class_weights, cost_sensitive beside balanced_softmax is not")]
    assert len(both) == 1 and len([line for line in advice if "class frequencies are corrected twice" in line]) == 1


# --- tricks and doctor

def test_tricks_are_listed(here):
    listed = here("tricks", "list")[1]
    assert all(f" {name} " in listed for name in catalog())
    assert "batch.mix!           mixup " in listed and "augment.flip         flip " in listed
    rows = json.loads(here("tricks", "list", "--json")[1])
    assert {row["name"] for row in rows} == set(catalog()) and all(row["summary"] for row in rows)


@pytest.mark.parametrize("name", ["mixup", "class_weights", "one_cycle", "constant"])
def test_a_trick_is_shown(here, name):
    trick, (code, out, _) = catalog()[name], here("tricks", "show", name)
    assert code == 0 and out.startswith(f"{name}\n\n") and out.endswith(f"In a space:  {name}: {{}}\n")
    assert "Paper: " in out and out.count("Not advised ") == len(trick.advice)
    assert {line.index("default") for line in out.splitlines() if line.startswith("  ") and "legal" in line} <= {
        max([14, *map(len, trick.declared())]) + 3}, "in one column"
    for parameter, about in trick.declared().items():
        assert re.search(rf"\n  {parameter} +default {trick.defaults()[parameter]} ", out)
        assert f"legal {about.legal}" in out
    card = json.loads(here("tricks", "show", name, "--json")[1])
    assert card["name"] == name and list(card["parameters"]) == list(trick.declared())


def test_doctor_finds_everything_here(here):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    asked = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    code, out, _ = here("doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["missing"] == [] and asked < set(found) and "onnx" not in found
    assert here("doctor")[0] == 0


def test_doctor_asks_for_what_the_package_needs(here, monkeypatch):
    """What is too old or missing is named with the line that mends it; what only an extra needs is not asked for."""
    monkeypatch.setattr(cards, "requires", lambda name: [
        "torch>=2.10", "optuna>=5", "ray[tune]>=2.60", "timm>=1.0.20", "numpy>=2", "winloop; sys_platform == 'none'",
        "onnx>=99; extra == 'export'"])
    versions = {"torch": "2.9.1+cpu", "optuna": None, "ray": "2.9", "timm": "1.0.100", "numpy": "2.0.0+local"}
    monkeypatch.setattr(cards, "_version", versions.get)
    code, out, _ = here("doctor")
    assert code == 1 and out.endswith("\nInstall: pip install 'torch>=2.10' 'optuna>=5' 'ray[tune]>=2.60'\n")
    assert re.search(r"torch +2\.9\.1\+cpu +<- too old or missing\n", out) and out.count("<-") == 3
    assert json.loads(here("doctor", "--json")[1])["missing"] == ["torch", "optuna", "ray"]


def test_doctor_asks_for_a_package_that_is_not_installed(here, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)
    monkeypatch.setattr(cards, "requires", missing)
    monkeypatch.setattr(cards, "_version", lambda name: None)
    code, out, _ = here("doctor")
    assert code == 1 and "Install: pip install 'autotricks'\n" in out


def test_version_is_that_of_the_package(here):
    code, out, err = here("--version")
    assert (code, out, err) == (0, f"autotricks {autotricks.__version__}\n", "")
