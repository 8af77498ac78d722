"""What every trick of the catalog promises; a new trick is found and held to it by itself."""
import ast
import inspect
import re
from dataclasses import FrozenInstanceError
from functools import cache
from pathlib import Path

import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.slots import PHASED
from autotricks.trainer import checkpoint
from autotricks.trial import prepare
from autotricks.tricks.catalog import bundle_from, catalog
from tests.conftest import make_dataset
from tests.contract.waiting import Waiting

NAMES = tuple(catalog())
WINDOWED = tuple(name for name, trick in catalog().items() if set(trick.seats) <= PHASED)
BATCHES = {"epochs": 2, "batch_size": 16}  # two steps an epoch of the 32 images

# Defaults that a search leaves out on purpose: "trick.parameter".
UNSEARCHED: frozenset[str] = frozenset()


@cache
def images():
    return make_dataset(counts=(16, 8, 5, 3))


def companions(name):
    """Return a trick for each trait that `name` needs."""
    return tuple(next(Use(other()) for other in catalog().values() if trait in other.brings)
                 for trait in sorted(catalog()[name].needs, key=lambda trait: trait.name))


def bundle(name, window=Window()):
    return Bundle((Use(catalog()[name](), window), *companions(name)), **BATCHES)


def weights(trainer):
    return {key: value.clone() for key, value in trainer.evaluated.state_dict().items()}


def equal(left, right):
    assert left.keys() == right.keys()
    return [key for key in left if not torch.equal(left[key], right[key])] == []


def window_of(name):
    """Return a window that opens and closes midway, with a checkpoint in it, where the trick can have one."""
    return Window(0.25, 0.75) if name in WINDOWED else Window()


@cache
def trained(name, window):
    """Train two epochs without a break: weights and metrics after each."""
    trainer, seen = prepare(bundle(name, window), images()), []
    for metrics in trainer.epochs():
        seen.append((weights(trainer), metrics))
    return trainer.end, seen


def test_there_are_tricks_to_hold_to_it():
    assert {"sgd", "cosine", "cross_entropy", "instance"} <= set(NAMES)
    assert {"cross_entropy", "instance"} <= set(WINDOWED) and "sgd" not in WINDOWED


@pytest.mark.parametrize("name", NAMES)
def test_is_frozen_hashable_and_equal_to_its_like(name):
    cls = catalog()[name]
    trick = cls()
    assert trick == cls() and hash(trick) == hash(cls()) and len({trick, cls()}) == 1
    for parameter in trick.values():
        with pytest.raises(FrozenInstanceError):
            setattr(trick, parameter, 1)
    with pytest.raises((FrozenInstanceError, TypeError)):
        trick.anything = 1


@pytest.mark.parametrize("name", NAMES)
def test_survives_the_way_through_a_file(name):
    written = bundle(name, window_of(name))
    assert bundle_from(written.document()) == written
    assert bundle_from(written.document()).hash == written.hash


@pytest.mark.parametrize("name", NAMES)
def test_its_defaults_are_legal_and_searched(name):
    cls = catalog()[name]
    assert cls.problems(cls().values()) == []
    outside = {f"{name}.{key}" for key, value in cls.defaults().items() if value not in vars(cls)[
        "__dataclass_fields__"][key].metadata["parameter"].search}
    assert outside <= UNSEARCHED


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_says_what_whose_and_at_what_cost(name):
    text = inspect.getdoc(catalog()[name]) or ""
    assert re.match(r"[A-Z][^\n]+\.(\n|$)", text), "the first line is a sentence"
    assert re.search(r"^Paper: .*(\n +.*)*https?://\S+", text, re.MULTILINE), "Paper: with its address"
    assert re.search(r"^Cost: \S", text, re.MULTILINE), "Cost:"


@pytest.mark.parametrize("name", NAMES)
def test_its_file_is_short_and_holds_it_alone(name):
    path = Path(inspect.getsourcefile(catalog()[name]))
    text = path.read_text(encoding="utf-8")
    public = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    assert len(text.splitlines()) <= 120
    assert public == [catalog()[name].__name__]
    assert path.stem == name


@pytest.mark.parametrize("name", NAMES)
def test_trains_finite_and_changes_the_weights(name):
    end, seen = trained(name, window_of(name))
    assert end.value == "finished" and len(seen) == 2
    assert all(metrics.finite for _, metrics in seen)
    assert all(bool(value.isfinite().all()) for value in seen[0][0].values())
    assert not equal(seen[0][0], seen[1][0])


def resumed(name, window, folder):
    """Train an epoch, and another one from its checkpoint: in both cases what was trained without a break."""
    _, seen = trained(name, window)
    torch.manual_seed(123)      # what came before must not matter
    first = prepare(bundle(name, window), images())
    if name in WINDOWED:
        torch.manual_seed(456)  # nor what others draw: it draws from the generator of the run alone
    assert next(first.epochs()) == seen[0][1]
    assert equal(weights(first), seen[0][0])
    checkpoint.save(first.state_dict(), folder / "state")
    torch.manual_seed(123)
    second = prepare(bundle(name, window), images())
    second.load_state_dict(checkpoint.load(folder / "state"))
    assert list(second.epochs()) == [seen[1][1]]
    assert equal(weights(second), seen[1][0])
    assert second.history == [metrics for _, metrics in seen]


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_weights_and_two_epochs_are_one_and_a_checkpoint_and_one(name, tmp_path):
    resumed(name, window_of(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", WINDOWED)
def test_the_same_where_it_is_active_from_start_to_end(name, tmp_path):
    resumed(name, Window(), tmp_path)


def with_empty_windows(names):
    trainer = prepare(Bundle(tuple(Use(catalog()[name](), Window(0.25, 0.25)) for name in names), **BATCHES), images())
    list(trainer.epochs())
    return weights(trainer)


def test_an_empty_window_changes_nothing():
    """All of them at once; where that is not so, who is to blame."""
    plain = with_empty_windows(())
    if not equal(with_empty_windows(WINDOWED), plain):
        assert [name for name in WINDOWED if not equal(with_empty_windows((name,)), plain)] == []
        raise AssertionError("only together do they change something")


@pytest.mark.parametrize("name", WINDOWED)
def test_a_step_never_waits_for_the_device(name):
    trainer = prepare(bundle(name), images())
    trainer.enter(trainer.plan.phases[0])
    trainer._set_rate(0)
    rows = next(trainer._rows(1, 0))
    with Waiting() as waiting:
        trainer._pipeline.gradients(trainer._batch(rows))
    assert waiting.calls == []


@pytest.mark.parametrize("read", [
    torch.Tensor.item, torch.Tensor.tolist, float, bool, torch.Tensor.cpu, torch.Tensor.nonzero,
    lambda one: torch.arange(1)[one > 0], lambda one: torch.where(one > 0)])
def test_waiting_is_seen(read):
    one = torch.ones(1)
    with Waiting() as waiting:
        torch.where(one > 0, one, 0.0)[torch.arange(1)] + one.sum()
        assert waiting.calls == []
        read(one)
    assert len(waiting.calls) == 1
