"""Code of somebody's that a file names is not imported without --trust, wherever the file comes from."""
import sys

import pytest
import yaml
from safetensors.torch import save_file
from torch import ones

from autotricks import cli
from autotricks.errors import InputError
from autotricks.inference.predictor import Predictor, teacher
from autotricks.inference.pyfunc import _load_pyfunc
from autotricks.io.yaml_tree import LARGE

from .conftest import make_dataset

CODE = "planted_code:function"
BUNDLE = {"name": "champion", "model": {"name": CODE}, "training": {"epochs": 1, "batch_size": 4, "seed": 0},
          "tricks": {"sgd": {}}, "classes": ["a", "b"], "result": {},
          "images": {"shape": [1, 8, 8], "mean": [0.5], "std": [0.5]}}
SPACE = {"name": "demo", "search": {"engine": "local", "trials": 1}, "tricks": {"sgd": {}}}


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """Where the code leaves a mark when it is imported."""
    path = tmp_path / "imported"
    (tmp_path / "planted_code.py").write_text(f"import pathlib\npathlib.Path({str(path)!r}).touch()\n"
                                              "def function(classes=2, channels=1): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield path
    sys.modules.pop("planted_code", None)


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def files(folder):
    """Every kind of file that could name code, each with the command that reads it."""
    run = write(folder / "runs" / "demo" / "space.yaml", {**SPACE, "model": {"name": CODE}}).parent
    bundle = write(folder / "given" / "champion.yaml", BUNDLE)
    save_file({"w": ones(1)}, folder / "given" / "champion.safetensors")
    data = write(folder / "data.yaml", {**BUNDLE, "model": {"name": "resnet8"}, "data": {"source": CODE}})
    return {
        "a space": ["search", "--space", write(folder / "space.yaml", {**SPACE, "model": {"name": CODE}})],
        "its data": ["search", "--space", write(folder / "own.yaml", {**SPACE, "data": {"source": CODE}})],
        "check": ["check", folder / "space.yaml"],
        "an override": ["check", "long_tail.yaml", "--set", f"model.name={CODE}"],
        "a start bundle": ["search", "--space", write(folder / "start.yaml", {**SPACE, "start": [str(bundle)]})],
        "an exported bundle": ["train", bundle], "data of an exported bundle": ["train", data],
        "data of the command line": ["train", "mixup_balanced_softmax", "--data", CODE],
        "a resumed run": ["search", "--resume", run], "confirmation": ["confirm", run], "ablation": ["ablate", run],
        "what MLflow is told": ["sync", run], "a script": ["export", bundle.parent, "--format", "script"],
        "a graph": ["export", bundle.parent, "--format", "pt2"],
        "predictions": ["predict", bundle, bundle], "a profile": ["doctor", "--profile", bundle],
        "published bundles": ["replicate", bundle.parent, "--data", "digits"],
        "a model of the command line": ["replicate", "search_spaces", "--data", "digits", "--model", CODE]}


NAMES = ["a space", "its data", "check", "an override", "a start bundle", "an exported bundle",
         "data of an exported bundle", "data of the command line", "a resumed run", "confirmation", "ablation",
         "what MLflow is told", "a script", "a graph", "predictions", "a profile", "published bundles",
         "a model of the command line"]


@pytest.mark.parametrize("name", NAMES)
def test_no_command_imports_it(tmp_path, mark, monkeypatch, capsys, name):
    commands = files(tmp_path)
    assert list(commands) == NAMES
    monkeypatch.setattr(sys, "argv", ["autotricks", *map(str, commands[name])])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr()
    assert stop.value.code == 2 and "Traceback" not in said.err
    assert not mark.exists(), "it was imported"
    assert "--trust" in said.err or name == "a model of the command line"


def test_a_registered_model_or_teacher_does_not_import_it(tmp_path, mark):
    files(tmp_path)
    for read in (_load_pyfunc, Predictor.load, lambda path: teacher(str(path), make_dataset(counts=(4, 4)))):
        with pytest.raises(InputError, match="--trust"):
            read(tmp_path / "given")
    assert not mark.exists()


def test_the_mark_shows_an_import(tmp_path, mark, monkeypatch, capsys):
    """Or the tests above could not fail."""
    monkeypatch.setattr(sys, "argv", ["autotricks", "check", str(files(tmp_path)["check"][1]), "--trust"])
    with pytest.raises(SystemExit):
        cli.main()
    assert mark.exists()


# 633 bytes that are gigabytes for a reader that merges mappings
MERGED = "a: &a {x: 1}\n" + "".join(f"{one}: &{one} {{<<: [{', '.join([f'*{last}'] * 10)}]}}\n"
                                     for last, one in zip("abcdefgh", "bcdefghi"))


@pytest.mark.parametrize("text", ["[" * 10_000, "{a: " * 5_000, "a: &a [*a, *a]\nb: " + "[*a]" * 3 + "\n",
                                  "a: !!python/object/apply:os.system [true]\n", "#" * (LARGE.bytes + 1), MERGED,
                                  "a: !!set {b}\n"],
                         ids=["brackets", "braces", "cycle", "tag", "large", "merged", "set"])
def test_a_hostile_bundle_of_a_teacher_is_one_clear_error(tmp_path, text):
    (tmp_path / "champion.yaml").write_text(text)
    with pytest.raises(InputError):
        Predictor.load(tmp_path)
