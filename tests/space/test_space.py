"""Space: whatever is drawn is legal, whatever is legal can be drawn, and each bundle in one way."""
import random
from dataclasses import replace
from itertools import product

import pytest

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.domain import Choice, Float, Int, tunable
from autotricks.core.plan import advice, problems
from autotricks.core.slots import Slot
from autotricks.core.traits import Trait
from autotricks.core.trick import Trick
from autotricks.space import Entry, Space
from autotricks.space.space import Taken, typical
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import catalog, plan_of

from .made import key, loaded, picker


class MadeHead(Trick):
    seats = {Slot.MODEL: "head"}
    provides = frozenset({Trait.COSINE_HEAD})

    def model(self, inner, run):
        return inner


class MadeMargin(Trick):
    seats = {Slot.LOSS: "base"}
    requires = frozenset({Trait.COSINE_HEAD})
    margin: float = tunable(0.5, search=Choice(0.1, 0.5))

    def loss(self, inner, run):
        return inner


class MadeNeck(Trick):
    """Needs what only a later seat brings."""

    seats = {Slot.MODEL: "neck"}
    requires = frozenset({Trait.REWEIGHTS})

    def model(self, inner, run):
        return inner


class MadePair(Trick):
    """Sits in two single seats at once."""

    seats = {Slot.BATCH: "mix", Slot.LOSS: "base"}

    def batch(self, inner, run):
        return inner

    def loss(self, inner, run):
        return inner


def entry(name, always=False, domains=None, **fixed):
    made = {kind.name: kind for kind in (MadeHead, MadeMargin, MadeNeck, MadePair)}
    return Entry({**catalog(), **made}[name], fixed, domains or {}, always)


def space(*entries, avoid=True):
    return Space(entries, Bundle(), CLASSIFICATION, avoid)


def drawn(space):
    """The bundle of each combination of choices."""
    return [space.draw(lambda name, domain, picks=picks: picks[name]) for picks in space.choices()]


def brute(space):
    """Every legal bundle of a space without defaults: all subsets and all values, filtered by what conflicts."""
    def ways(entry):
        names, values = list(entry.domains), [domain.options for domain in entry.domains.values()]
        return [*([] if entry.always else [None]),
                *(entry.use({**entry.fixed, **dict(zip(names, combination))}) for combination in product(*values))]
    allowed = set(advice([entry.default() for entry in space.entries if entry.always]))
    found = []
    for way in product(*(ways(entry) for entry in space.entries)):
        uses = tuple(use for use in way if use)
        if not problems(uses) and not (space.avoid and set(advice(uses)) - allowed):
            found.append(Bundle(uses))
    return found


def names(bundles):
    return sorted(bundle.names() for bundle in bundles)


FIXED = {
    "parted windows": [entry("mixup", stop=0.5), entry("cutmix", start=0.5)],
    "parted the other way": [entry("cutmix", start=0.5), entry("mixup", stop=0.5)],
    "three thirds": [entry("mixup", stop=0.3), entry("cutmix", start=0.3, stop=0.6), entry("made_pair", start=0.6)],
    "one searched": [entry("mixup", domains={"stop": Choice(0.5, 1.0)}), entry("cutmix", start=0.5)],
    "one searched, listed last": [entry("cutmix", start=0.5), entry("mixup", domains={"stop": Choice(0.5, 1.0)})],
    "the late one searched": [entry("mixup", stop=0.5), entry("cutmix", domains={"start": Choice(0.0, 0.5)})],
    "shared seats": [entry("flip"), entry("cutout"), entry("label_smoothing"), entry("no_bias_decay")],
    "options": [entry("adabound", domains={"amsbound": Choice(False, True)}), entry("adamw"),
                entry("crop", domains={"padding": Choice(1, 2, 4)})],
    "needs": [entry("made_margin", domains={"margin": Choice(0.1, 0.5)}), entry("made_head"), entry("focal")],
    "needs what a later seat brings": [entry("made_neck"), entry("class_weights"), entry("made_head")],
    "needs what is always there": [entry("made_head", always=True), entry("made_margin")],
    "needs what nobody brings": [entry("made_margin"), entry("focal")],
    "refuses": [entry("warmup"), entry("one_cycle"), entry("cosine"), entry("lr_floor")],
    "two seats": [entry("made_pair"), entry("mixup"), entry("focal"), entry("cutmix", start=0.5)],
    "advice": [entry("class_weights", domains={"start": Choice(0.0, 0.8)}), entry("class_balanced"),
               entry("balanced_softmax"), entry("square_root"), entry("focal")],
    "advice against what is always there": [entry("class_weights", always=True), entry("class_balanced", always=True),
                                            entry("mixup"), entry("balanced_softmax"), entry("ema")],
    "all always": [entry("mixup", always=True), entry("ema", always=True, domains={"decay": Choice(0.9, 0.99)})],
}


@pytest.mark.parametrize("avoid", [True, False])
@pytest.mark.parametrize("entries", FIXED.values(), ids=FIXED)
def test_choices_are_all_legal_bundles_and_each_once(entries, avoid):
    made = space(*entries, avoid=avoid)
    expected = sorted(key(bundle) for bundle in brute(made))
    assert sorted(key(bundle) for bundle in drawn(made)) == expected
    assert made.size()[0] == len(expected)
    for picks, bundle in zip(made.choices(), drawn(made), strict=True):
        assert made.locate(bundle) == picks


def test_choices_of_random_spaces_are_all_legal_bundles():
    """Sixty spaces of up to six tricks, some always there, some in a third of training only."""
    names = [name for name in catalog() if name not in CLASSIFICATION.defaults]
    sizes = []
    for seed in range(60):
        draw = random.Random(seed)
        entries = []
        for name in draw.sample(names, draw.randint(2, 6)):
            phased = all(slot.phased for slot in catalog()[name].seats)
            window = draw.choice([{}, {"stop": 0.3}, {"start": 0.3, "stop": 0.6}, {"start": 0.6}]) if phased else {}
            made = entry(name, draw.random() < 0.15, **window)
            always = [other.widest() for other in [*entries, made] if other.always]
            entries.append(made if not problems(always) else entry(name, **window))
        made = space(*entries, avoid=draw.random() < 0.5)
        expected = sorted(key(bundle) for bundle in brute(made))
        assert sorted(key(bundle) for bundle in drawn(made)) == expected, entries
        assert made.size()[0] == len(expected)
        sizes.append(len(expected))
    assert min(sizes) >= 1 and max(sizes) >= 32


def test_the_order_of_the_file_does_not_matter():
    entries = FIXED["advice"] + FIXED["one searched"] + FIXED["needs"][:2]
    expected = sorted(key(bundle) for bundle in drawn(space(*entries)))
    for seed in range(5):
        shuffled = space(*random.Random(seed).sample(entries, len(entries)))
        assert sorted(key(bundle) for bundle in drawn(shuffled)) == expected


def test_two_tricks_share_a_single_seat_in_parted_windows():
    assert names(drawn(space(*FIXED["parted windows"]))) == [(), ("cutmix",), ("cutmix", "mixup"), ("mixup",)]
    whole = space(entry("mixup"), entry("cutmix"))
    assert names(drawn(whole)) == [(), ("cutmix",), ("mixup",)]


def test_where_both_windows_are_searched_the_widest_decides():
    """Both may never meet then, though some of their windows would; nothing illegal is drawn."""
    made = space(FIXED["one searched"][0], FIXED["the late one searched"][1])
    assert {key(bundle) for bundle in drawn(made)} < {key(bundle) for bundle in brute(made)} and made.size()[0] == 5


def test_size_by_hand(tmp_path):
    """Seats that never quarrel multiply; losses, class weights and samplers are counted together."""
    made = loaded(tmp_path, """
  sgd: {lr: search}
  adabound: {amsbound: search}
  cosine: {always: true}
  warmup: {epochs: search}
  flip: {}
  mixup: {stop: {choice: [0.8, 0.9, 1.0]}}
  cutmix: {alpha: search}
  balanced_softmax: {}
  focal: {}
  class_weights: {beta: {choice: [0.9, 0.99, 0.999]}, start: {choice: [0, 0.8]}}
  class_balanced: {start: {choice: [0, 0.8]}}
  square_root: {}
""").space
    optimizers, mixing = 1 + 2, 1 + 3 + 1       # adabound with amsbound or without; no mixing, three stops, cutmix
    unweighted, weighted = 2, 2 * 3 * 2         # cross-entropy or focal, each without weights or with 3 betas, 2 starts
    plain, resampled = unweighted + weighted + 1, (2 + 1) * unweighted  # balanced softmax is for plain samplers alone
    assert made.size()[0] == optimizers * mixing * 2 * 2 * (plain + resampled) == 1260


def test_ranges_count_as_one():
    made = space(entry("sgd", always=True, domains={"lr": Float(0.01, 1.0, log=True), "momentum": Choice(0.8, 0.9)}),
                 entry("crop", domains={"padding": Int(1, 8, log=True)}))
    assert made.size()[0] == 2 * 2 and len(list(made.choices())) == 4
    assert {picks["sgd.lr"] for picks in made.choices()} == {0.01}


# --- seats, always, advice

def asked(space, seed=0):
    """The domains that one draw asks for."""
    domains = {}

    def noted(name, domain, pick=picker(seed)):
        domains[name] = domain
        return pick(name, domain)
    space.draw(noted)
    return domains


def test_a_required_seat_falls_back_to_its_default():
    made = space(entry("focal"))
    assert asked(made)["loss.base taken"] == Taken(("focal",))
    for bundle in drawn(made):
        (phase,) = plan_of(bundle, CLASSIFICATION).phases
        losses = [use.trick.name for use in phase.uses if Slot.LOSS in use.trick.seats]
        assert losses == (["focal"] if bundle.uses else ["cross_entropy"])


def test_a_required_seat_whose_default_is_listed_is_never_none():
    made = space(entry("focal"), entry("cross_entropy"), entry("sgd"), entry("adamw"))
    assert {name: set(domain.options) for name, domain in asked(made).items()} == {
        "loss.base": {"focal", "cross_entropy"}, "optimizer.base": {"sgd", "adamw"}}
    assert names(drawn(made)) == sorted(tuple(sorted(pair)) for pair in product(("focal", "cross_entropy"),
                                                                                ("sgd", "adamw")))


def test_a_seat_with_one_possible_trick_is_not_asked_for():
    assert asked(space(entry("sgd"))) == {}
    assert drawn(space(entry("sgd")))[0].names() == ("sgd",)
    assert asked(space(entry("mixup"))) == {"batch.mix taken": Taken(("mixup",))}
    assert asked(space(entry("flip"))) == {"flip": Choice(False, True)}


def test_the_baseline_lies_in_its_space_where_a_default_does_not(tmp_path):
    """SGD's rate of 0.1 is none of fine-tuning, and a trick that is always there keeps to its domain too."""
    made = loaded(tmp_path, "  sgd: {lr: {loguniform: [1.0e-4, 1.0e-2]}}\n"
                            "  mixup: {alpha: {choice: [0.2, 0.4]}, stop: {choice: [0.5, 0.8]}, always: true}\n").space
    tricks = made.baseline().document()["tricks"]
    assert tricks["sgd"]["lr"] == 0.01 and tricks["sgd"]["weight_decay"] == 1e-4
    assert tricks["mixup"] == {"alpha": 0.4, "stop": 0.8} and made.locate(made.baseline()) is not None


def test_what_is_always_there_is_never_asked_for():
    made = space(entry("mixup", always=True, alpha=0.3), entry("cutmix"), entry("flip", always=True))
    assert asked(made) == {}, "cutmix has no room"
    assert made.baseline().uses == (Use(catalog()["flip"]()), Use(catalog()["mixup"](alpha=0.3)))
    assert drawn(made) == [made.baseline()]


def test_advice_is_followed_or_ignored(tmp_path):
    tricks = "  class_weights: {start: 0.8}\n  class_balanced: {}\n"
    for word in ("avoid", "ignore"):
        found = loaded(tmp_path, tricks + "  sgd: {}\n", f"advice={word}").space
        assert any(len(found.draw(picker(seed)).names()) == 3 for seed in range(60)) == (word == "ignore")
        assert len(found.warnings()) == 1 and "https://" in found.warnings()[0]


def test_quarrels_are_listed_by_seat_and_by_trick():
    lines = space(entry("mixup"), entry("cutmix"), entry("warmup"), entry("one_cycle"), entry("flip")).quarrels()
    assert lines == ["batch.mix holds one of mixup, cutmix", "warmup excludes one_cycle"]
    assert space(*FIXED["parted windows"]).quarrels() == []


def test_needs_are_met_in_either_order_of_the_file():
    for entries in (FIXED["needs"], FIXED["needs"][::-1]):
        found = names(drawn(space(*entries)))
        assert ("made_head", "made_margin") in found and ("made_margin",) not in found


def test_what_is_needed_is_brought_along():
    chosen = {"loss.base taken": True, "loss.base": "made_margin", "made_margin.margin": 0.5}
    made = space(*FIXED["needs"])
    bundle = made.draw(lambda name, domain: chosen[name])
    assert bundle.names() == ("made_head", "made_margin"), "the head is not asked for, nor its seat"
    assert made.locate(bundle) == chosen


def test_a_seat_is_taken_as_often_as_not_however_many_could_take_it():
    made = space(*(entry(name) for name in ("mixup", "cutmix", "remix", "ricap", "focal")))
    bundles = [made.draw(picker(seed)) for seed in range(400)]
    mixing = sum(bool({"mixup", "cutmix", "remix", "ricap"} & set(bundle.names())) for bundle in bundles)
    assert 160 < mixing < 240 and 160 < sum("focal" in bundle.names() for bundle in bundles) < 240


# --- single entries

def test_a_window_that_stops_before_it_starts_is_empty_and_harmless():
    made = space(entry("mixup", always=True, domains={"start": Choice(0.2, 0.9), "stop": Choice(0.5, 1.0)}))
    windows = {bundle.uses[0].window for bundle in drawn(made)}
    assert windows == {Window(0.2, 0.5), Window(0.2, 1.0), Window(0.9, 1.0), Window(0.9, 0.9)}
    assert all(plan_of(bundle, CLASSIFICATION).phases for bundle in drawn(made))


@pytest.mark.parametrize(("domains", "fixed", "window"), [
    ({}, {}, (0.0, 1.0)), ({}, {"start": 0.2, "stop": 0.7}, (0.2, 0.7)), ({}, {"start": 0.7, "stop": 0.2}, (0.7, 0.7)),
    ({"start": Choice(0.8, 0.3), "stop": Choice(0.5, 0.9)}, {}, (0.3, 0.9)),
    ({"start": Float(0.1, 0.4)}, {"stop": 0.6}, (0.1, 0.6)), ({"stop": Int(0, 1)}, {"start": 0.5}, (0.5, 1.0))])
def test_the_widest_window(domains, fixed, window):
    assert entry("mixup", domains=domains, **fixed).widest().window == Window(*window)


def test_model_epochs_batch_size_and_seed_are_the_frames():
    frame = Bundle((), "resnet20", 9, 32, 5)
    made = Space((entry("flip"),), frame, CLASSIFICATION)
    assert [bundle for bundle in drawn(made) if not bundle.uses] == [frame] == [made.baseline()]
    assert {(bundle.model, bundle.epochs, bundle.batch_size, bundle.seed) for bundle in drawn(made)} == {
        ("resnet20", 9, 32, 5)}


def test_values_have_the_types_of_their_parameters():
    use = entry("crop", domains={"padding": Float(1, 4)}).draw(lambda name, domain: 2.0)
    assert use.trick.padding == 2 and type(use.trick.padding) is int
    assert type(entry("mixup").use({"alpha": 2}).trick.alpha) is float


@pytest.mark.parametrize("change", [{"epochs": 9}, {"model": "resnet20"}, {"batch_size": 8}])
def test_what_the_space_does_not_hold_is_not_located(change):
    made = space(entry("mixup", domains={"alpha": Float(0.1, 1.0)}), entry("flip"))
    mixup = catalog()["mixup"]
    assert made.locate(Bundle((Use(mixup(alpha=0.5)),))) == {
        "flip": False, "batch.mix taken": True, "mixup.alpha": 0.5}
    assert made.locate(Bundle((Use(mixup(alpha=0.5)),), **change)) is None
    assert made.locate(Bundle((Use(mixup(alpha=2.0)),))) is None, "outside the range"
    assert made.locate(Bundle((Use(mixup(alpha=0.5), Window(0.0, 0.5)),))) is None, "another window"
    assert made.locate(Bundle((Use(catalog()["cutout"]()),))) is None, "another trick"


def test_a_bundle_is_located_whatever_its_seed():
    made = space(entry("mixup", domains={"alpha": Float(0.1, 1.0)}), entry("flip"))
    bundle = Bundle((Use(catalog()["mixup"](alpha=0.5)),))
    picks = {"flip": False, "batch.mix taken": True, "mixup.alpha": 0.5}
    assert made.locate(bundle) == made.locate(replace(bundle, seed=7)) == picks


# --- the bundle closest to a wish

def wish(bundle):
    return {use.trick.name: {**use.trick.values(), "start": use.window.start, "stop": use.window.stop}
            for use in bundle.uses}


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("avoid", [False, True])
def test_a_bundle_of_a_space_is_the_closest_to_itself(name, avoid):
    made = space(*FIXED[name], avoid=avoid)
    for bundle in drawn(made):
        assert made.closest(wish(bundle)) == bundle


MIXES = (entry("mixup", domains={"alpha": Float(0.1, 0.5), "stop": Choice(0.6, 0.8)}), entry("cutmix"), entry("flip"),
         entry("ema", always=True, domains={"decay": Float(0.9, 0.99)}))


def closest(**wished):
    return {use.trick.name: use for use in space(*MIXES).closest(wished).uses}


def test_a_value_outside_becomes_the_nearest_inside():
    found = closest(mixup={"alpha": 5.0, "stop": 1.0}, ema={"decay": 0.5})["mixup"]
    assert (found.trick.alpha, found.window) == (0.5, Window(0.0, 0.8))
    assert closest(ema={"decay": 0.5})["ema"].trick.decay == 0.9


def test_what_a_wish_leaves_open_is_usual():
    """The nearest: the defaults of 1 for mixup's alpha and its end are outside, and so is ema's 0.999."""
    found = closest(mixup={})
    assert (found["mixup"].trick.alpha, found["mixup"].window) == (0.5, Window(0.0, 0.8))
    assert found["ema"].trick.decay == 0.99 and "flip" not in found


def test_of_two_that_cannot_meet_one_stays_and_what_is_not_listed_is_left_out():
    assert set(closest(mixup={}, cutmix={}, cutout={})) == {"cutmix", "ema"}, "the one of the wider window"
    assert set(closest(cutmix={}, flip={})) == {"cutmix", "ema", "flip"}
    assert set(closest()) == {"ema"}, "what is always there"


def test_what_is_needed_comes_along():
    made = space(*FIXED["needs"])
    assert made.closest({"made_margin": {}}, lambda name, domain: 0.1).names() == ("made_head", "made_margin")


def test_nobody_is_asked_for_what_is_wished_for():
    asked = []

    def fill(name, domain):
        asked.append(name)
        return typical(name, domain)
    space(*MIXES).closest({"mixup": {"alpha": 0.3}, "ema": {"decay": 0.95}}, fill)
    assert asked == ["mixup.stop"]


@pytest.mark.parametrize(("name", "domain", "value"), [
    ("mixup.alpha", Float(0.1, 2.0), 1.0), ("mixup.alpha", Float(0.1, 0.5), 0.5), ("mixup.alpha", Float(1.5, 2.0), 1.5),
    ("sgd.momentum", Choice(0.5, 0.8, 0.95), 0.95), ("sgd.nesterov", Choice(True, False), False),
    ("mixup.start", Choice(0.2, 0.5), 0.2), ("mixup.stop", Choice(0.2, 0.5), 0.5),
    ("influence_balanced.start", Choice(0.0, 0.6), 0.6),        # it opens at half of training
    ("optimizer.base", Choice("adam", "sgd"), "adam"), ("flip", Choice(False, True), False)])
def test_what_is_usual(name, domain, value):
    assert typical(name, domain) == value
