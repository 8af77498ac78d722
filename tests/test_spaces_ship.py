"""Every file below search_spaces/ loads and is good to train; the package offers what it names."""
import doctest
import importlib
import pkgutil
import random
from pathlib import Path
from types import ModuleType

import pytest

import autotricks
from autotricks.core.plan import problems
from autotricks.probes.compatibility import require_suited
from autotricks.space import load_bundle_file, load_space
from autotricks.space.weights import described, wanted
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import bundle_from, plan_of

from .conftest import for_each
from .space.made import picker

FOLDER = Path(__file__).parents[1] / "search_spaces"
FILES = sorted(FOLDER.rglob("*.yaml"))
BUNDLES = [path for path in FILES if path.parent.name == "published"]
SPACES = [path for path in FILES if path not in BUNDLES]


def test_the_walk_finds_them():
    assert len(SPACES) >= 1 and len(BUNDLES) >= 2
    others = [path for path in FOLDER.rglob("*") if path.is_file() and path not in FILES]
    assert others == [FOLDER / "space.schema.json"], "nothing else lies there"


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_draws_legal_bundles(path):
    loaded = load_space(path)
    assert loaded.document.name == path.stem
    for seed in range(20):
        bundle = loaded.space.draw(picker(random.Random(f"{path.stem}{seed}").randrange(10 ** 6)))
        assert not problems(bundle.uses) and plan_of(bundle, loaded.space.task).phases
        assert bundle_from(bundle.document()).hash == bundle.hash
    assert next(iter(loaded.start)) == "baseline"
    for bundle in loaded.start.values():
        assert plan_of(bundle, loaded.space.task).phases and bundle.epochs == loaded.document.training.epochs


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_says_what_it_is_for(path):
    opening = [line for line in path.read_text().split("name:")[0].splitlines() if line.startswith("#")]
    text = " ".join(opening)
    assert len(opening) >= 2 and "Hardware:" in text and "Time:" in text


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and nothing in the cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


def test_what_spaces_say_of_published_weights_is_known_without_a_network(offline):
    named = {}
    for path in SPACES:
        loaded, listed = described(load_space(path))
        named[path.stem] = {one.source for one in listed}
        assert all(one.licence == "apache-2.0" and one.mean for one in listed)
        held = {bundle.weights for bundle in loaded.start.values()} - {""}
        assert held <= {*wanted(loaded)}, f"{path.stem}: a start bundle begins with weights that no trial does"
    assert {name for name, sources in named.items() if sources} == {
        "fine_tuning", "small_data", "fine_grained", "multi_label"}
    assert len(named["fine_tuning"]) == 3 and named["small_data"] < named["fine_tuning"]


@pytest.mark.parametrize("name", ["fine_tuning", "small_data", "fine_grained", "multi_label"])
def test_no_space_needs_a_file_of_weights(name):
    assert {*wanted(load_space(f"{name}.yaml"))} == {"default"}


def test_the_baseline_of_fine_tuning_has_a_rate_for_it():
    baseline = load_space("fine_tuning.yaml").start["baseline"]
    assert baseline.weights == "default" and baseline.document()["tricks"]["sgd"]["lr"] == 0.01


@pytest.mark.slow
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_passes_check_without_a_network(path, offline):
    left = require_suited(load_space(path))
    assert (left is None) or "not on this machine yet" in left or "is known when they are loaded" in left


@for_each(BUNDLES)
def test_a_published_bundle_can_be_planned_and_cites_its_source(path):
    found = load_bundle_file(path)
    assert found.document.name == path.stem
    assert plan_of(found.bundle, CLASSIFICATION).phases and len(found.bundle.uses) == len(found.document.tricks) > 0
    assert bundle_from(found.bundle.document()).hash == found.bundle.hash
    assert "https://" in found.document.cite and found.document.published
    assert path.read_text().startswith("# ")


def test_every_public_name_keeps_its_kind_after_every_module_was_imported():
    """No name of the package is that of a module in it, which an import would put in its place."""
    first = {name: getattr(autotricks, name) for name in autotricks.__all__}
    for module in pkgutil.walk_packages(autotricks.__path__, "autotricks."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert len(first) > 30 and list(autotricks.__all__) == sorted(set(autotricks.__all__)) == dir(autotricks)
    for name, value in first.items():
        assert getattr(autotricks, name) is value and not isinstance(value, ModuleType), name
    assert not {module.name for module in pkgutil.iter_modules(autotricks.__path__)} & {*first}
    assert callable(autotricks.search) and "mixup" in autotricks.catalog()
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        autotricks.serach  # noqa: B018


def test_the_package_keeps_the_promises_of_its_docstring():
    outcome = doctest.testmod(autotricks)
    assert outcome.attempted >= 7 and outcome.failed == 0
