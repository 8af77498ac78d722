"""Compiled steps: when they are tried, when they are taken, and where in a space they are."""
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from autotricks.core.bundle import Bundle
from autotricks.errors import ResourceError, SpaceError
from autotricks.export.bundle import text
from autotricks.probes import compiled_steps, duration
from autotricks.probes.compiled_steps import Measured, Stake, alters, at_stake, decided, with_compiled_steps
from autotricks.probes.duel import Duel
from autotricks.probes.duration import Timing
from autotricks.space.compiled_steps import settled
from autotricks.space.load import load_space
from autotricks.space.space import Taken
from autotricks.tricks.catalog import make
from autotricks.tricks.runtime.torch_compile import missing
from autotricks.tuning.workload import workload
from autotricks.workflows import search as experiment
from autotricks.workflows.resources import check_resources
from tests.asked import Asked, Passed, watched
from tests.test_precision import images

COMPILE = "torch_compile"
ON = "training.compile=true"
HOUR = 3600.0


def stake(steps=100_000, step=0.3, wall=4 * HOUR, slots=2, graphs=1, begins=4):
    return Stake(steps, step, wall, slots, graphs, begins)


def measured(eager, compiled, rounds=6, cold=40.0, warm=5.0):
    return Measured(Duel("eager", "compiled", ((eager, compiled),) * rounds), cold, warm)


def test_what_is_saved_and_spent():
    one = stake(steps=1000, slots=2, graphs=5, begins=7)
    assert one.saved(0.25) == 250
    assert one.spent(cold=40, warm=3) == 5 * 40 + 7 * 3
    assert stake(slots=4, graphs=1, begins=8).spent(40, 3) == 4 * 40 + 8 * 3    # all processes begin at the same time


def test_it_pays_from_twice_what_it_costs():
    one = stake(steps=1000, slots=1, graphs=1, begins=0)
    assert one.pays(0.08, cold=40, warm=5) and not one.pays(0.0799, cold=40, warm=5)


@pytest.mark.parametrize(("changes", "device", "tried"), [
    ({}, "cpu", True),
    ({"wall": 0.9 * HOUR}, "cpu", False),       # 78 s are more than two hundredths of 54 minutes
    ({"steps": 2_900}, "cpu", True),            # 290 s to be hoped for; 2 * 60 + 4 * 6 = 144 s to be spent
    ({"steps": 2_850}, "cpu", False),           # 285 s
    ({"graphs": 200, "begins": 200}, "cpu", False),     # 10,000 s to be hoped for, 13,200 s to be spent
    ({"steps": 2_850}, "cuda", True)])          # 427 s
def test_only_what_could_pay_is_tried(changes, device, tried):
    assert stake(**changes).worth_a_probe(device) is tried


def test_a_gain_that_is_not_clear_is_no_gain():
    found = decided(stake(), measured(1.0, 0.9, rounds=2))
    assert not found.on and str(found) == (
        "training.compile: auto is off: a step takes 1.0 s, compiled 900 ms, which is not clearly less")


def test_a_clear_gain_that_pays_is_taken():
    found = decided(stake(), measured(0.3, 0.2))        # 10,000 s of two slots; 2 * 40 + 4 * 5 = 100 s
    assert found.on and str(found) == (
        "training.compile: auto is on: a step takes 300 ms, compiled 200 ms, which saves 1 h 25 min; compiling takes "
        "50 s in all, 40 s for a new model and 5 s for one in the cache")


def test_a_clear_gain_that_does_not_pay_is_left():
    found = decided(stake(steps=1_900), measured(0.3, 0.2))     # 190 s, not 200
    assert not found.on and str(found).endswith("in the cache, and it is to save 2 times that")
    assert decided(stake(steps=2_100), measured(0.3, 0.2)).on


def test_what_breaks_down_compiled_is_left():
    found = decided(stake(), Measured(Duel("eager", "compiled", ((0.3, float("inf")),) * 2), 40, 5))
    assert not found.on and found.reason == "compiled cannot be held against eager: compiled broke down"


def test_what_is_at_stake_is_the_searchs_own_work():
    """Other work on the machine does not count, and what a deadline cuts off is not there to save."""
    loaded = load_space("long_tail.yaml", ["training.epochs=27", "search.trials=10"])
    loaded = replace(loaded, images=640)
    data = replace(images(8, 64), train=images(8, 640).train)
    work = workload(loaded)
    timing = Timing(0.1, 0.0, 0.0, others=0.0)
    whole = at_stake(loaded, data, 2, timing, work)
    assert whole.steps == pytest.approx((work.epochs + work.confirmations * 27) * 10)       # 640 images, 64 a step
    assert whole == at_stake(loaded, data, 2, replace(timing, others=7.0), work)
    half = at_stake(loaded, data, 2, timing, work, (duration.duration(timing, work, loaded, data, 2).search) / 4)
    assert half.steps < whole.steps and half.wall < whole.wall
    none = at_stake(loaded, data, 2, timing, replace(work, confirmations=0))
    assert none.steps == pytest.approx(work.epochs * 10)


def test_models_are_counted_that_differ():
    def entry(name, always=False):
        space = load_space("long_tail.yaml", [f"tricks.{name}={{{'always: true' if always else ''}}}"]).space
        return next(entry for entry in space.entries if entry.name == name)
    assert alters(entry("group_norm")) and alters(entry("stochastic_depth")) and alters(entry("linear_probe"))
    assert not alters(entry("group_norm", always=True))
    assert not any(map(alters, map(entry, ("mixup", "kaiming", "sgd", "ema"))))
    plain = load_space("long_tail.yaml", ["search.trials=10"])
    plain = replace(plain, images=64, space=replace(plain.space, entries=tuple(
        entry for entry in plain.space.entries if not alters(entry))))
    found = at_stake(plain, images(8, 64), 2, Timing(0.1, 0.0, 0.0), workload(plain))
    assert (found.graphs, found.begins) == (1, 4)       # two processes of the search, two of confirmation


def picked(*wanted):
    """Pick some tricks of those that are not always there."""
    def pick(name, domain):
        if isinstance(domain, Taken):
            return any(one in wanted for one in domain.by)
        options = getattr(domain, "options", None)
        if options == (False, True):
            return name in wanted
        return next((option for option in options or () if option in wanted), options[0] if options else domain.low)
    return pick


def drawn(space, wanted):
    """Return what is drawn of a space for some tricks, and all that was asked for."""
    asked = []
    pick = picked(*wanted)
    return space.draw(lambda *given: asked.append(given) or pick(*given)), asked


@pytest.mark.parametrize("name", ["manifold_mixup", "activation_checkpointing", "progressive_resizing"])
def test_what_cannot_be_compiled_stays_in_the_space_and_runs_as_it_is(name):
    """Hidden features mixed, steps computed twice, and images of many sizes: all are drawn as before."""
    overrides = [f"tricks.{name}={{}}"]
    plain, compiled = (load_space("long_tail.yaml", more) for more in (overrides, [*overrides, ON]))
    for wanted in ((name,), ("mixup",)):
        before, questions = drawn(plain.space, wanted)
        after, others = drawn(compiled.space, wanted)
        assert set(wanted) < set(before.names()) and questions == others
        assert set(after.names()) - set(before.names()) == ({COMPILE} if wanted == ("mixup",) else set())
        assert compiled.space.locate(after) is not None
    assert compiled.space.quarrels() == plain.space.quarrels()
    assert compiled.space.warnings() == plain.space.warnings()


def test_what_yields_makes_no_space_larger_or_smaller():
    names = ("mixup", "manifold_mixup", "progressive_resizing", "warmup", "ema")
    plain = load_space("long_tail.yaml", ["tricks.manifold_mixup={}", "tricks.progressive_resizing={}"]).space
    plain = replace(plain, entries=tuple(entry for entry in plain.entries if entry.name in names))
    assert len(plain.entries) == 5 and settled(plain).size() == plain.size() and plain.size()[1]


def test_start_bundles_are_compiled_as_what_is_drawn():
    loaded = load_space("long_tail.yaml", [ON])
    assert loaded.start and all(COMPILE in bundle.names() for bundle in loaded.start.values())
    assert loaded.start["baseline"] == loaded.space.baseline()
    mixed = replace(loaded.space.frame, uses=(make("manifold_mixup", {}),))
    assert loaded.space.completed(mixed) == mixed
    done = loaded.space.completed(loaded.space.frame)
    assert done.names() == (COMPILE,) and loaded.space.completed(done) == done


def test_a_search_that_goes_on_reads_what_was_found(tmp_path):
    for on in (True, False):
        loaded = load_space("long_tail.yaml").with_compiled_steps(on)
        path = tmp_path / f"{on}.yaml"
        path.write_text(text(loaded.resolved))
        again = load_space(path)
        assert again.document.training.compile is on and again.resolved == loaded.resolved
        assert again.start == loaded.start and again.space.baseline() == loaded.space.baseline()


@pytest.mark.parametrize(("value", "line"), [
    ("on", "'on' is not allowed; compile must be 'auto', true or false."),
    ("2", "2 is not allowed; compile must be 'auto', true or false.")])
def test_bad_words_are_refused(value, line):
    with pytest.raises(SpaceError) as caught:
        load_space("long_tail.yaml", [f"training.compile={value}"])
    assert [problem.split("training.compile: ")[1] for problem in caught.value.problems] == [line]


@pytest.mark.parametrize(("trick", "line"), [
    (f"tricks.{COMPILE}={{}}", "tricks.torch_compile settles it too. Drop one of the two."),
    ("tricks.activation_checkpointing={always: true}",
     "no model is compiled beside tricks.activation_checkpointing, which is always there. Drop one of the two.")])
def test_what_the_space_settles_itself_is_not_settled_twice(trick, line, monkeypatch):
    with pytest.raises(SpaceError) as caught:
        load_space("long_tail.yaml", [trick, ON])
    assert [problem.split("training.compile: ")[1] for problem in caught.value.problems] == [line]
    monkeypatch.setattr(compiled_steps, "probed", None)     # where it is left to the search nothing is timed
    loaded = load_space("long_tail.yaml", [trick])
    assert with_compiled_steps(loaded, images(8), 2, workload(loaded)) == (loaded, None, None)


def test_without_a_compiler_auto_is_silent_and_true_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(compiled_steps, "probed", None)
    loaded = load_space("long_tail.yaml")
    assert with_compiled_steps(loaded, images(8), 2, workload(loaded)) == (loaded, None, None)
    assert check_resources(loaded) >= 1
    with pytest.raises(ResourceError) as caught:
        check_resources(load_space("long_tail.yaml", [ON]))
    assert [line.partition("training.compile: ")[2] for line in caught.value.problems] == [
        "this machine has not a C++ compiler (no-such-compiler is not found), which compiling needs. Install it, or "
        "set training.compile: false."]


@pytest.mark.skipif(bool(missing("cpu")), reason="no C++ compiler")
def test_a_short_search_is_timed_once_and_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(compiled_steps, "measured", None)
    loaded = replace(load_space("long_tail.yaml"), images=8)
    monkeypatch.setattr(compiled_steps, "probed", lambda *given: Timing(0.01, 0.0, 0.0))
    assert with_compiled_steps(loaded, images(8), 2, workload(loaded)) == (loaded, None, Timing(0.01, 0.0, 0.0))


@pytest.mark.skipif(bool(missing("cpu")), reason="no C++ compiler")
@pytest.mark.parametrize(("found", "on", "line"), [
    (measured(9.0, 4.0), True, "on: a step takes 9.0 s, compiled 4.0 s"),
    (measured(9.0, 8.9, rounds=2), False, "off: a step takes 9.0 s, compiled 8.9 s, which is not clearly less"),
    (None, False, "off: the model cannot be compiled here, or not in time")])
def test_what_a_long_search_finds_is_kept(found, on, line, monkeypatch):
    monkeypatch.setattr(compiled_steps, "probed", lambda *given: Timing(9.0, 0.0, 0.0))
    monkeypatch.setattr(compiled_steps, "measured", lambda *given: found)
    loaded = replace(load_space("long_tail.yaml", ["training.epochs=200"]), images=640)
    data = replace(images(8, 64), train=images(8, 640).train)
    after, decision, _ = with_compiled_steps(loaded, data, 2, workload(loaded))
    assert after.document.training.compile is on
    assert all((COMPILE in bundle.names()) is on for bundle in after.start.values())
    assert str(decision).startswith(f"training.compile: auto is {line}")


@pytest.mark.parametrize("overrides", [[], [ON], ["training.compile=false"], ["training.compile=auto"]])
@pytest.mark.parametrize("resumed", [True, False])
def test_only_a_new_search_that_leaves_it_open_asks(overrides, resumed, tmp_path, monkeypatch):
    watched(monkeypatch, "with_compiled_steps")
    monkeypatch.setattr("autotricks.workflows.resources.missing", lambda device: "")
    loaded = load_space("long_tail.yaml", ["search.engine=local", "training.precision=fp32", *overrides])
    with pytest.raises(Asked if overrides == ["training.compile=auto"] and not resumed else Passed):
        experiment.search(loaded, experiment.Options(tmp_path, tmp_path if resumed else None, tracking="off"))


def test_timings_are_of_steps_as_they_are(monkeypatch):
    seen = []

    def prepare(bundle, *given):
        seen.append(bundle.names())
        raise LookupError
    monkeypatch.setattr(duration, "prepare", prepare)
    steps = duration._Steps(images(8), "cpu", False, lambda: 0.0)
    with pytest.raises(LookupError):
        steps.timed(Bundle((make(COMPILE, {}), make("sgd", {}))), 2, 1)
    assert seen == [("sgd",)]


def test_a_process_forgets_now_and_then_what_it_compiled(monkeypatch, run):
    """Torch compiles eight variants of the same code; the models of trials run through the same code."""
    calls = []
    monkeypatch.setattr(torch, "compile", lambda model: calls.append("compiled") or model)
    monkeypatch.setattr(torch, "compiler", SimpleNamespace(reset=lambda: calls.append("forgotten")))
    for _ in range(12):
        assert replace(run, runtime=replace(run.runtime, compile=True)).forward is run.model
    assert calls.count("compiled") == 12 and calls.count("forgotten") == 3


@pytest.mark.slow
@pytest.mark.skipif(bool(missing("cpu")), reason="no C++ compiler")
def test_a_model_is_compiled_and_timed_in_a_process_of_its_own():
    found = compiled_steps.measured(Bundle((), "resnet8", batch_size=8), images(8), "cpu", 1, 600.0)
    assert found is not None and found.duel.rounds and 0 < found.warm < found.cold
    assert 0 < found.compiled < found.cold and 0 < found.eager < found.cold


@pytest.mark.slow
def test_a_probe_that_takes_too_long_is_given_up():
    assert compiled_steps.measured(Bundle((), "resnet8", batch_size=8), images(8), "cpu", 1, 0.01) is None
