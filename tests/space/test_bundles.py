"""Start trials and bundle files, and code of the user's own in either."""
import re
import sys

import pytest

from autotricks.core.plan import problems
from autotricks.errors import SpaceError
from autotricks.space import load_bundle_file, load_space
from autotricks.space.load import shipped

from .made import HEAD, loaded, refused, write

BUNDLE = """name: recipe
model: {name: resnet32}
training: {epochs: 90, batch_size: 128, seed: 3}
tricks:
  warmup: {epochs: 10}
  label_smoothing: {epsilon: 0.2}
  mixup: {alpha: 0.5, stop: 0.75}
"""


def test_the_baseline_comes_first_named_or_not(tmp_path):
    write(tmp_path, BUNDLE, "recipe.yaml")
    recipe = tmp_path / "recipe.yaml"
    for start in ("", "start: []\n", "start: [baseline]\n"):
        found = load_space(write(tmp_path, f"{start}{HEAD}  cosine: {{always: true}}\n  sgd: {{}}\n")).start
        assert list(found) == ["baseline"] and found["baseline"].names() == ("cosine", "sgd")
    found = load_space(write(tmp_path, f"start: [{recipe}, baseline]\n{HEAD}  sgd: {{}}\n")).start
    assert list(found) == ["baseline", str(recipe)]


def test_a_published_bundle_is_squeezed_into_the_space(tmp_path):
    write(tmp_path, BUNDLE, "recipe.yaml")
    path = tmp_path / "recipe.yaml"
    bundle = loaded(tmp_path, "  sgd: {}\n", f"start=[{path}]", "search.seed=7").start[str(path)]
    assert bundle.document() == {
        "model": {"name": "resnet8"}, "training": {"epochs": 9, "batch_size": 64, "seed": 7},
        "tricks": {"label_smoothing": {"epsilon": 0.2}, "mixup": {"alpha": 0.5, "stop": 0.75},
                   "warmup": {"epochs": 1.0, "first": 0.0}}}   # 10 of 90 epochs are 1 of 9


def test_a_start_bundle_leaves_out_and_takes_on_what_the_space_says(tmp_path):
    write(tmp_path, BUNDLE, "recipe.yaml")
    path = tmp_path / "recipe.yaml"
    always = "  cosine: {always: true}\n  label_smoothing: {always: true, epsilon: 0.1}\n  cutmix: {always: true}\n"
    found = loaded(tmp_path, always, f"start=[{{name: {path}, without: [warmup]}}]").start[str(path)]
    assert found.names() == ("cosine", "label_smoothing", "mixup"), "cutmix's seat is taken, warmup left out"
    assert found.uses[1].trick.epsilon == 0.2, "the bundle's own value, not the space's"
    assert not problems(found.uses)


def test_a_bundle_that_ships_is_found_by_name(tmp_path):
    for path in shipped("published"):
        bundle = load_bundle_file(path.stem).bundle
        model = ["model.name=timm:resnet18"] if bundle.weights else []      # of ours none has published weights
        started = loaded(tmp_path, "  sgd: {}\n", f"start=[{path.stem}]", *model).start[path.stem]
        assert started.names() == bundle.names() and started.epochs == 9


@pytest.mark.parametrize(("start", "said"), [
    ("[mixup_balanced_softmx]", ":7:9  start.0: no such bundle. Did you mean mixup_balanced_softmax?"),
    ("[baseline, nope]", ":7:19  start.1: no such bundle."),
    ("[3]", ":7:9  start.0.name: 3 is not text."),
    ("baseline", ":7:1  start: 'baseline' is not a list."),
    ("[{nmae: x}]", ":7:10  start.0.nmae: no such key. Did you mean name?"),
    ("[{name: mixup_balanced_softmax, without: [mixpu]}]",
     ":7:40  start.0.without: mixup_balanced_softmax does not use mixpu. Did you mean mixup?"),
    ("[{name: baseline, without: [sgd]}]",
     ":7:26  start.0.without: the baseline has no trick that the space leaves a choice about. Drop it."),
    ("[baseline, baseline]", ":7:19  start.1: baseline stands twice. Drop one."),
    ("[mixup_balanced_softmax, mixup_balanced_softmax]", ":7:33  start.1: mixup_balanced_softmax stands twice.")])
def test_start_trials_refused(tmp_path, start, said):
    text = HEAD.removesuffix("tricks:\n") + f"\nstart: {start}\ntricks: {{sgd: {{}}}}\n"
    assert any(said in line for line in refused(tmp_path, text))


def test_fewer_trials_than_bundles_to_start_with_are_refused(tmp_path):
    tricks = "  sgd: {}\n"
    assert len(loaded(tmp_path, tricks, "start=[mixup_balanced_softmax]", "search.trials=2").start) == 2
    (line,) = refused(tmp_path, HEAD + tricks, "start=[mixup_balanced_softmax]", "search.trials=1")
    assert line == ("--set  search.trials: 1 are fewer than the 2 bundles to start with, the baseline among them. "
                    "Raise it, or shorten start.")


@pytest.mark.parametrize(("tricks", "said"), [
    ("  mixup: {alpha: {uniform: [0.1, 1]}}\n",
     ":3:11  tricks.mixup.alpha: a bundle holds plain values; only a space has domains."),
    ("  mixup: {alpha: search}\n", ":3:11  tricks.mixup.alpha: 'search' is not a number"),
    ("  mixup: {always: true}\n", ":3:11  tricks.mixup.always: True is not allowed"),
    ("  mixup: {}\n  cutmix: {}\n", ":2:1  tricks: mixup and cutmix both take batch.mix for 0-100% of training."),
    ("  sgd: {start: 0.5}\n",
     ":3:3  tricks.sgd: sgd works in optimizer, which is built once; it cannot have a window."),
    ("  mixpu: {}\n", ":3:3  tricks.mixpu: no such trick. Did you mean mixup?")])
def test_bundle_files_refused(tmp_path, tricks, said):
    path = write(tmp_path, "name: recipe\ntricks:\n" + tricks, "recipe.yaml")
    with pytest.raises(SpaceError, match=re.escape(said)):
        load_bundle_file(path)
    (line,) = refused(tmp_path, f"start: [{path}]\n{HEAD}  sgd: {{}}\n")
    assert line.startswith(":1:9  start.0: ") and said in line


def test_a_bundle_file_is_read_as_it_stands(tmp_path):
    found = load_bundle_file(write(tmp_path, BUNDLE, "recipe.yaml"))
    assert (found.bundle.model, found.bundle.epochs, found.bundle.batch_size, found.bundle.seed) == ("resnet32", 90,
                                                                                                     128, 3)
    assert found.bundle.names() == ("label_smoothing", "mixup", "warmup")


# --- code of the user's own

@pytest.fixture
def my_module(tmp_path, monkeypatch):
    """Code of the user's, which leaves a mark when it is imported."""
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "module.py").write_text("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
                                               "def function(classes=0, channels=0): ...\ndef other(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "my" / "module.ran"
    for name in ("my", "my.module"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["my.module:other", "my.module:nothing", "my.nowhere:function"])
def test_code_that_cannot_be_a_model_is_refused_before_anything_trains(tmp_path, my_module, name):
    (line,) = refused(tmp_path, HEAD + "  sgd: {}\n", f"model.name={name}", trust=True)
    assert name in line and ("cannot be imported" in line or "must be a function of classes and channels" in line)


@pytest.mark.parametrize("override", ["model.name=my.module:function", "data.source=my.module:function"])
def test_code_is_named_only_with_trust(tmp_path, override, my_module):
    (line,) = refused(tmp_path, HEAD + "  sgd: {}\n", override)
    assert line == f"--set  {override.split('=')[0]}: my.module:function is code of yours; allow it with --trust."
    assert not my_module.exists()
    assert loaded(tmp_path, "  sgd: {}\n", override, trust=True)


def test_a_bundle_that_names_code_needs_trust(tmp_path, my_module):
    path = write(tmp_path, "name: recipe\nmodel: {name: my.module:function}\n", "recipe.yaml")
    with pytest.raises(SpaceError, match="--trust"):
        load_bundle_file(path)
    with pytest.raises(SpaceError, match="--trust"):
        loaded(tmp_path, "  sgd: {}\n", f"start=[{path}]")
    assert not my_module.exists(), "nothing was imported"
    assert load_bundle_file(path, trust=True).bundle.model == "my.module:function"
    assert loaded(tmp_path, "  sgd: {}\n", f"start=[{path}]", trust=True)
