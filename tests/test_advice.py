"""Cited advice as the command line tells it, and as a search follows it."""
import json

import numpy as np
import pytest

from autotricks.core.domain import Choice, Float
from autotricks.core.plan import advice
from autotricks.core.traits import MANY_CLASSES, DataTrait
from autotricks.runs.ledger import read, records
from autotricks.space.data_fit import fitted
from autotricks.space.load import load_space

MANY = frozenset({DataTrait.MANY_CLASSES})
SPACE = """
name: advised
data: {source: "npz:many.npz"}
training: {epochs: 1, batch_size: 50}
search: {trials: 8, engine: local, sampler: random, parallel: 1, rungs: {first: 1}}
tricks:
  sgd: {lr: {uniform: [0.05, 0.1]}}
  flip: {}
"""


@pytest.fixture
def space(tmp_path, monkeypatch):
    """Write a space with these tricks to the working directory."""
    monkeypatch.chdir(tmp_path)

    def written(tricks):
        (tmp_path / "advised.yaml").write_text(SPACE + tricks)
        return "advised.yaml"
    return written


@pytest.mark.parametrize("other", ["label_smoothing", "label_aware_smoothing", "mixup", "cutmix", "remix", "ricap",
                                   "manifold_mixup", "distillation", "dive"])
def test_flooding_is_left_out_beside_soft_labels(space, other, here):
    """With k variants of the other there are 2 (2 + 2k) bundles with flip or not; 2k have both."""
    file = space(f"  flooding: {{level: 0.05}}\n  {other}: {{}}\n")
    out = here("check", file)[1]
    said = " ".join(out.split())
    assert f"Advised against (left out): flooding beside {other} is not advised: " in said
    assert "Ishida et al. 2020, https://arxiv.org/abs/2002.08709" in said
    plain, free = (json.loads(here("check", file, "--json", *words)[1])["choices"]
                   for words in ([], ["--set", "advice=ignore"]))
    k = free // 4 - 1
    assert k >= 1 and (free, plain) == (4 + 4 * k, 4 + 2 * k)


def test_flooding_after_mixing_is_not_advised_against(space):
    assert load_space(space("  flooding: {start: 0.8}\n  mixup: {stop: 0.8}\n")).space.warnings() == []


@pytest.mark.parametrize("name", ["class_weights", "cost_sensitive", "influence_balanced"])
def test_check_says_that_re_weighting_from_the_start_is_for_few_classes(space, name, here):
    file = space(f"  {name}: {{start: {{choice: [0.0, 0.8]}}}}\n")
    said = " ".join(here("check", file)[1].split())
    assert f"{name} from the start beside data of {MANY_CLASSES} or more classes is not advised: " in said
    assert "from 61.7% to 67.7%" in said and "https://github.com/zhangyongshun/BagofTricks-LT" in said
    assert "Advised against" not in here("check", space(f"  {name}: {{start: 0.8}}\n"))[1]
    card = here("tricks", "show", name)[1]
    assert f"Not advised from the start beside data of {MANY_CLASSES} or more classes: cost-sensitive" in card


@pytest.mark.parametrize(("classes", "word", "starts"), [
    (MANY_CLASSES, "avoid", {0.8}), (MANY_CLASSES, "ignore", {0.0, 0.8}), (MANY_CLASSES - 1, "avoid", {0.0, 0.8})])
def test_a_search_follows_it_by_the_number_of_classes(space, classes, word, starts, tmp_path, here):
    images = np.random.default_rng(0).integers(0, 256, (4 * classes, 8, 8), np.uint8)
    np.savez("many.npz", x=images, y=np.arange(4 * classes) % classes)
    file = space("  class_weights: {beta: 0.9, start: {choice: [0.0, 0.8]}}\n")
    assert here("search", "--space", file, "--tracking", "off", "--no-confirm", "--set", f"advice={word}",
                "--set", "search.trials=14")[0] == 0
    bundles = [trial.bundle for trial in records(read(next(tmp_path.glob("runs/*/trials.jsonl")))[0])]
    weighed = [bundle["tricks"]["class_weights"] for bundle in bundles if "class_weights" in bundle["tricks"]]
    assert len(bundles) == 14 and {values.get("start", 0.0) for values in weighed} == starts


def entries(space, tricks, of_data=MANY):
    return {entry.name: entry for entry in fitted(load_space(space(tricks)).space, of_data).entries}


def test_what_data_advise_against_leaves_the_space(space):
    found = entries(space, "  class_weights: {beta: 0.9}\n  cost_sensitive: {always: true}\n")
    assert "class_weights" not in found and found["cost_sensitive"].always, "what is always there stays"
    found = entries(space, "  class_weights: {start: {choice: [0.0]}}\n"
                           "  cost_sensitive: {start: {quniform: [0.0, 0.8, 0.2]}}\n"
                           "  influence_balanced: {}\n")
    assert "class_weights" not in found
    assert found["cost_sensitive"].domains["start"] == Float(0.2, 0.8, step=0.2)
    assert "start" not in found["influence_balanced"].domains, "it opens half-way"
    found = entries(space, "  class_weights: {start: {choice: [0.0, 0.6, 0.8]}}\n")
    assert found["class_weights"].domains["start"] == Choice(0.6, 0.8)
    for use in (found["class_weights"].widest(), found["sgd"].widest()):
        assert advice([use], MANY) == []
    few = entries(space, "  class_weights: {}\n", frozenset())
    assert "class_weights" in few


def test_a_pair_is_judged_by_who_else_is_there_on_any_data(space):
    """Advice on pairs does not depend on the data, advice on data not on a pair."""
    made = load_space(space("  class_weights: {start: 0.8}\n  class_balanced: {}\n")).space
    assert [line.split(" is not")[0] for line in made.warnings()] == ["class_weights beside class_balanced"]
