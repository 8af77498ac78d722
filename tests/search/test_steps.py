"""Steps from good bundles: whatever is wished for leads to a legal bundle, and each kind does what it says."""
import random
from dataclasses import replace

import pytest

from autotricks.core.bundle import Bundle
from autotricks.core.plan import advice, clashes
from autotricks.space import Space
from autotricks.space.load import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import bundle_from, catalog, make, plan_of
from autotricks.tuning import steps as module
from autotricks.tuning.features import wish_of
from autotricks.tuning.steps import KINDS, Steps, changes

SEEDS = range(40)


@pytest.fixture(scope="module")
def shipped() -> Space:
    return load_space("long_tail.yaml").space


@pytest.fixture(scope="module")
def parents(shipped) -> list[Bundle]:
    """The published start bundle as the space holds it, and ten others of a few tricks."""
    steps, start = Steps(shipped), load_space("long_tail.yaml").start["mixup_balanced_softmax"]
    drawn = [steps.legal(steps.draw(random.Random(seed)), random.Random(seed)) for seed in range(10)]
    return [steps.legal(wish_of(start), random.Random(0)), *drawn]


@pytest.fixture
def single(monkeypatch):
    """No step is followed by another."""
    monkeypatch.setattr(module, "AGAIN", 0.0)


def made(shipped, parents, kind, seed):
    """Return a step of a kind, and the bundles that it was made from."""
    step = Steps(shipped).step(kind, [wish_of(bundle) for bundle in parents], random.Random(seed))
    return step, [parents[place] for place in step.parents]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_leads_to_a_legal_bundle(shipped, parents, kind):
    steps, found, wishes = Steps(shipped), set(), [wish_of(bundle) for bundle in parents]
    for seed in SEEDS:
        rng = random.Random(seed)
        step = steps.step(kind, wishes, rng)
        bundle = steps.legal(step.wish, rng)
        plan_of(bundle, CLASSIFICATION)                                  # raises where tricks conflict
        assert advice(bundle.uses) == [] and "cosine" in bundle.names()
        assert bundle_from(bundle.document()) == bundle
        assert shipped.locate(bundle) is not None
        assert step.kind == kind and len(step.parents) == {"cross": 2, "draw": 0}.get(kind, 1)
        found.add(bundle.hash)
    assert len(found) > len(SEEDS) / 2, "not always the same"


def test_a_bundle_of_the_space_is_the_closest_to_itself(shipped, parents):
    steps = Steps(shipped)
    for bundle in parents:
        assert steps.legal(wish_of(bundle), random.Random(1)) == bundle


@pytest.mark.usefixtures("single")
def test_tune_changes_parameters_alone(shipped, parents):
    domains = {entry.name: entry.domains for entry in shipped.entries}
    moved = set()
    for seed in SEEDS:
        step, (parent,) = made(shipped, parents, "tune", seed)
        before = wish_of(parent)
        assert step.wish.keys() == before.keys()
        changed = [(name, key, value) for name, values in step.wish.items() for key, value in values.items()
                   if before[name][key] != value]
        assert 1 <= len(changed) <= 3, "one parameter, or a few"
        assert all(value in domains[name][key] for name, key, value in changed), "within what is searched"
        bundle = Steps(shipped).legal(step.wish, random.Random(seed))
        assert bundle.names() == parent.names() and wish_of(bundle) == step.wish
        moved |= {(name, key) for name, key, _ in changed}
    assert len({name for name, _ in moved}) > 5 and {"lr", "weight_decay"} <= {key for _, key in moved}


def quarrel(left: str, right: str) -> bool:
    """Return whether two tricks at their defaults cannot, or should not, meet; what one needs does not matter."""
    uses = [make(name, {"start": 0.0} if catalog()[name].opens else {}) for name in (left, right)]
    return bool(clashes(uses) or advice(uses))


@pytest.mark.usefixtures("single")
def test_add_adds_one_and_what_cannot_meet_it_leaves(shipped, parents):
    added = set()
    for seed in SEEDS:
        step, (parent,) = made(shipped, parents, "add", seed)
        before = wish_of(parent)
        new, = step.wish.keys() - before.keys()
        assert all(quarrel(new, gone) for gone in before.keys() - step.wish.keys())
        assert all(step.wish[name] == before[name] for name in step.wish.keys() & before.keys())
        assert new in Steps(shipped).legal(step.wish, random.Random(seed)).names()
        added.add(new)
    assert len(added) > len(SEEDS) / 3


@pytest.mark.usefixtures("single")
def test_every_trick_can_be_added_to_the_baseline(shipped):
    """Whatever it needs comes with it."""
    plain = wish_of(shipped.baseline())
    for entry in shipped.entries:
        if entry.name in plain:
            continue
        steps = Steps(shipped, lambda trick, only=entry.name: float(trick == only))
        rng = random.Random(entry.name)
        bundle = steps.legal(steps.step("add", [plain], rng).wish, rng)
        assert entry.name in bundle.names()
        plan_of(bundle, CLASSIFICATION)


@pytest.mark.usefixtures("single")
def test_tricks_are_added_by_how_much_they_are_liked(shipped):
    """Of mixup, liked three times as much as ema, and nothing else: about three of four additions."""
    steps = Steps(shipped, lambda trick: {"mixup": 3.0, "ema": 1.0}.get(trick, 0.0))
    plain = wish_of(shipped.baseline())
    found = ["mixup" in steps.step("add", [plain], random.Random(seed)).wish for seed in range(400)]
    assert 270 < sum(found) < 330


@pytest.mark.usefixtures("single")
def test_drop_drops_one_and_never_what_a_required_seat_has_by_default(shipped, parents):
    dropped = set()
    for seed in SEEDS:
        step, (parent,) = made(shipped, parents, "drop", seed)
        before = wish_of(parent)
        gone, = before.keys() - step.wish.keys()
        assert step.wish == {name: values for name, values in before.items() if name != gone}
        assert gone not in CLASSIFICATION.defaults and gone != "cosine"
        dropped.add(gone)
    assert len(dropped) > 8


def test_nothing_can_be_dropped_from_the_baseline_and_nothing_crossed_with_itself(shipped):
    plain = wish_of(shipped.baseline())
    assert Steps(shipped).step("drop", [plain], random.Random(0)) is None
    assert Steps(shipped).step("cross", [plain], random.Random(0)) is None
    assert Steps(shipped).step("tune", [], random.Random(0)).kind == "draw", "there is nothing to begin at"


def needed(bundle: Bundle) -> set[str]:
    """Return the tricks that another one needs, or that sit in a seat that must be taken."""
    traits = {trait for use in bundle.uses for trait in use.trick.requires}
    return {use.trick.name for use in bundle.uses if traits & use.trick.provides
            or any(slot.seat(seat).required for slot, seat in use.trick.seats.items())}


def test_a_cross_holds_tricks_of_its_parents_alone(shipped, parents):
    both = 0
    for seed in SEEDS:
        step, (left, right) = made(shipped, parents, "cross", seed)
        ours, theirs = wish_of(left), wish_of(right)
        assert ours.keys() & theirs.keys() <= step.wish.keys() <= ours.keys() | theirs.keys()
        assert all(values in (ours.get(name), theirs.get(name)) for name, values in step.wish.items())
        bundle = Steps(shipped).legal(step.wish, random.Random(seed))
        assert set(bundle.names()) - ours.keys() - theirs.keys() <= needed(bundle)
        both += bool(step.wish.keys() - ours.keys()) and bool(step.wish.keys() - theirs.keys())
    assert both > len(SEEDS) / 2, "of both parents"


def test_every_single_change_of_a_bundle(shipped, parents):
    """Each absent trick at its usual values, each that may go, and rates and decays up and down; all of them legal."""
    steps, rng = Steps(shipped), random.Random(0)
    for parent in parents[:4]:
        before, found = wish_of(parent), {"add": [], "drop": [], "tune": []}
        for step in steps.singles(before):
            assert step.parents == (0,)
            found[step.kind].append(step.wish)
            plan_of(steps.legal(step.wish, rng), CLASSIFICATION)
        everything = {entry.name for entry in shipped.entries}
        new = [(set(wish) - set(before)).pop() for wish in found["add"]]
        assert sorted(new) == sorted(everything - set(before))
        gone = [(set(before) - set(wish)).pop() for wish in found["drop"]]
        assert sorted(gone) == sorted(set(before) - {*CLASSIFICATION.defaults, "cosine"})
        for wish in found["tune"]:
            key, = [key for name in wish for key in wish[name] if wish[name][key] != before[name][key]]
            assert key in ("lr", "weight_decay") and wish.keys() == before.keys()
        rates = [wish[name]["lr"] / before[name]["lr"] for wish in found["tune"] for name in wish if "lr" in wish[name]]
        assert min(rates) < 0.9 and max(rates) > 1.1


def test_a_step_may_be_followed_by_another(shipped, parents, monkeypatch):
    monkeypatch.setattr(module, "AGAIN", 1.0)
    more = [made(shipped, parents, "tune", seed) for seed in SEEDS]
    assert any(step.wish.keys() != wish_of(parent).keys() for step, (parent,) in more)


def test_changes_in_words():
    before = Bundle((make("sgd", {"lr": 0.1}), make("cosine", {}), make("mixup", {"alpha": 0.25})))
    after = Bundle((make("sgd", {"lr": 0.0321987, "nesterov": True}), make("cosine", {}), make("ema", {}),
                    make("cutout", {})))
    assert changes(wish_of(before), wish_of(after)) == [
        "+ cutout", "+ ema", "- mixup", "sgd.lr 0.1 -> 0.0322", "sgd.nesterov False -> True"]
    later = replace(before, uses=(*before.uses[:1], make("mixup", {"alpha": 0.25, "stop": 0.8}), *before.uses[2:]))
    assert changes(wish_of(before), wish_of(later)) == ["mixup.stop 1 -> 0.8"]
    assert changes(wish_of(before), wish_of(before)) == []
