"""Files to spaces and bundles: what each word of a file comes to, and what is said of a file that is wrong."""
import os
import random
import re

import pytest

from autotricks.core.domain import Choice, Float, Int
from autotricks.core.plan import problems
from autotricks.errors import InputError, SpaceError
from autotricks.export import text as yaml_of
from autotricks.space import load_space
from autotricks.space.load import shipped
from autotricks.space.sections import on_validation
from autotricks.space.weights import wanted

from .made import FIRST, HEAD, LAST, head, loaded, refused, write

LESS = {"train/loss", "val/loss", "val/brier", "val/cost", "val/calibration_error"}     # of which less is better


def entry(folder, tricks, *overrides):
    return loaded(folder, tricks, *overrides).space.entries[-1]


# --- what a file comes to

def test_a_space_that_ships_is_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("long_tail.yaml", "long_tail"):
        found = load_space(name)
        assert found.document.name == "long_tail" and found.tree.file == "long_tail.yaml"


def test_a_file_of_the_users_own_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, HEAD + "  sgd: {}\n", "long_tail.yaml")
    assert load_space("long_tail.yaml").document.name == "demo"


def test_sections_left_out_have_their_defaults(tmp_path):
    document = load_space(write(tmp_path, "name: demo\ntricks: {sgd: {}}\n")).document
    assert (document.data.source, document.model.name, document.training.epochs) == ("digits", "resnet8", 27)
    assert (document.objective.metric, document.objective.mode) == ("val/balanced_accuracy", "max")
    assert (document.search.sampler, document.search.rungs.fidelity) == ("bayesian", "prefix")
    assert (document.search.trainings, document.search.prior) == (None, "shipped")
    assert document.advice == "avoid"


def test_the_seed_is_the_searchs_unless_training_has_its_own(tmp_path):
    assert loaded(tmp_path, "  sgd: {}\n", "search.seed=5").space.frame.seed == 5
    assert loaded(tmp_path, "  sgd: {}\n", "search.seed=5", "training.seed=0").space.frame.seed == 0


def test_every_metric_that_training_reports_may_be_the_objective_and_says_what_is_better(dataset, tmp_path):
    meter = dataset.task.meter(dataset.counts, dataset.validation.targets)
    measured = {f"val/{name}" for name in meter.names}
    assert measured <= {metric.name for metric in on_validation()} and len(measured) >= 11
    for name in (*measured, "val/top_2_accuracy", "val/recall[a b/c]"):
        objective = loaded(tmp_path, "  sgd: {}\n", f"objective.metric={name}").document.objective
        assert objective.mode == ("min" if name in LESS else "max") and objective.metric == name


@pytest.mark.parametrize(("values", "domains", "fixed"), [
    ("{}", {"alpha": Float(0.1, 2.0)}, {}),
    ("", {"alpha": Float(0.1, 2.0)}, {}),
    ("{alpha: 1}", {}, {"alpha": 1.0}),
    ("{alpha: 5e-1}", {}, {"alpha": 0.5}),
    ("{alpha: search}", {"alpha": Float(0.1, 2.0)}, {}),
    ("{alpha: {choice: [1, 2, 0.5]}}", {"alpha": Choice(1.0, 2.0, 0.5)}, {}),
    ("{alpha: {uniform: [1, 2]}}", {"alpha": Float(1.0, 2.0)}, {}),
    ("{alpha: {loguniform: [1e-3, 1]}}", {"alpha": Float(0.001, 1.0, log=True)}, {}),
    ("{alpha: {quniform: [0.2, 1, 0.2]}}", {"alpha": Float(0.2, 1.0, step=0.2)}, {}),
    ("{alpha: {randint: [1, 4]}}", {"alpha": Int(1, 3)}, {}),
    ("{alpha: {lograndint: [1, 100]}}", {"alpha": Int(1, 99, log=True)}, {}),
    ("{start: 0.25, alpha: 1.0}", {}, {"start": 0.25, "alpha": 1.0}),
    ("{stop: {choice: [0.5, 1]}}", {"stop": Choice(0.5, 1.0)}, {}),
    ("{start: {uniform: [0, 0.5]}, stop: {quniform: [0.6, 1, 0.1]}}",
     {"start": Float(0.0, 0.5), "stop": Float(0.6, 1.0, step=0.1)}, {})])
def test_values_and_domain_words(tmp_path, values, domains, fixed):
    mixup = entry(tmp_path, f"  mixup: {values}\n")
    assert dict(mixup.domains) == domains and dict(mixup.fixed) == fixed and not mixup.always
    assert all(type(value) is float for value in mixup.fixed.values())


def test_always_takes_the_trick_at_its_fixed_values(tmp_path):
    mixup = entry(tmp_path, "  mixup: {always: true, alpha: 0.3}\n")
    assert mixup.always and mixup.fixed == {"alpha": 0.3}
    assert not entry(tmp_path, "  mixup: {always: false}\n").always


def test_the_words_are_ray_tunes():
    """Ray's own samplers, drawn 400 times, reach both ends of our domains and never leave them."""
    from ray.tune.search import sample

    from autotricks.space.domains import _range
    for word, ends in (("randint", (1, 4)), ("lograndint", (1, 4)), ("quniform", (0.2, 1.0, 0.2))):
        domain, drawn = _range(word, list(ends)), getattr(sample, word)(*ends).sample(size=400)
        values = {round(float(value), 9) for value in drawn}
        assert values == ({0.2, 0.4, 0.6, 0.8, 1.0} if word == "quniform" else {1.0, 2.0, 3.0})
        assert all(value in domain for value in values)
        assert ends[1] in domain if word == "quniform" else ends[1] not in domain
    for word in ("uniform", "loguniform"):
        drawn = getattr(sample, word)(0.001, 1.0).sample(size=400)
        assert all(value in _range(word, [0.001, 1.0]) for value in drawn)


def test_a_grid_walks_whole_numbers_and_steps_to_their_ends(tmp_path):
    space = loaded(tmp_path, "  crop: {padding: {randint: [1, 4]}, always: true}\n").space
    assert [picks["crop.padding"] for picks in space.choices()] == [1, 2, 3]
    space = loaded(tmp_path, "  mixup: {alpha: {quniform: [0.1, 0.7, 0.1]}, always: true}\n").space
    values = [picks["mixup.alpha"] for picks in space.choices()]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]) and max(values) <= 0.7


def test_whole_numbers_drawn_for_a_real_parameter_become_real(tmp_path):
    space = loaded(tmp_path, "  mixup: {alpha: {randint: [1, 3]}, always: true}\n").space
    bundle = space.draw(lambda name, domain: 2)
    assert type(bundle.uses[0].trick.alpha) is float, "or the hash would differ after the ledger"


def test_the_resolved_space_loads_again_to_the_same(tmp_path):
    first = load_space("long_tail.yaml", ["training.epochs=16", "tricks.cutmix.stop={quniform: [0.5, 1, 0.25]}"])
    again = load_space(write(tmp_path, yaml_of(first.resolved)))
    assert again.space == first.space and again.document == first.document
    assert {name: bundle.hash for name, bundle in again.start.items()} == {
        name: bundle.hash for name, bundle in first.start.items()}


# --- overrides

def test_overrides_fix_add_and_replace(tmp_path):
    tricks = "  mixup: {alpha: {uniform: [0.1, 1]}, stop: 0.9}\n"
    assert loaded(tmp_path, tricks, "training.epochs=81").document.training.epochs == 81
    fixed = entry(tmp_path, tricks, "tricks.mixup.alpha=0.3")
    assert dict(fixed.domains) == {} and fixed.fixed == {"alpha": 0.3, "stop": 0.9}
    nested = entry(tmp_path, tricks, "tricks.mixup.alpha={choice: [1, 2]}")
    assert dict(nested.domains) == {"alpha": Choice(1.0, 2.0)}
    inner = entry(tmp_path, tricks, "tricks.mixup.alpha.uniform=[0.5, 2]")
    assert dict(inner.domains) == {"alpha": Float(0.5, 2.0)}
    assert entry(tmp_path, tricks, "tricks.cutout={}").name == "cutout"
    assert loaded(tmp_path, tricks, "name='12'").document.name == "12"
    assert loaded(tmp_path, tricks, "training.epochs=5", "training.epochs=7").document.training.epochs == 7


@pytest.mark.parametrize(("override", "said"), [
    ("trial.epochs=5", "--set  trial: no such key. A file has name,"),                                      # 51
    ("training.epohcs=5", "--set  training.epohcs: no such key. Did you mean epochs?"),                     # 51
    ("training.epochs=", "--set training.epochs=: expected key.key=value, such as training.epochs=81."),    # 52
    ("=5", "--set =5: expected key.key=value"),                                                             # 53
    ("training.epochs", "--set training.epochs: expected key.key=value"),
    ("two\nlines", r"--set two\nlines: expected key.key=value"),
    ("training.epochs=many", "--set  training.epochs: 'many' is not a whole number."),                      # 54
    ("training=5", "--set  training: 5 is not a mapping."),
    ("name=2026", "--set  name: 2026 is not text."),
    ("tricks.mixup.alpha='0.3'", "--set  tricks.mixup.alpha: '0.3' is not a number; alpha must be > 0."),
    ("tricks.mixup.alpha=-1", "--set  tricks.mixup.alpha: -1 is not allowed; alpha must be > 0"),
    ("tricks.cuttout={}", "--set  tricks.cuttout: no such trick. Did you mean cutout?"),
    ("tricks.mixup.alpha={choice: [1", "--set  tricks.mixup.alpha: not valid YAML: "),
    ("training.epochs=[", "--set  training.epochs: not valid YAML: did not find expected node content while parsing a "
                          "flow node."),
    ("training.batch-size=3", "--set  training.batch-size: no such key. Did you mean batch_size?"),
    ("about={a: !!python/name:os.system x}", "--set  about: tags such as !!python/name:os.system are not allowed."),
    ("tricks.mixup.alpha.choice=[1]", ":7:11  tricks.mixup.alpha: expected one domain word, got uniform, choice.")])
def test_overrides_refused(tmp_path, override, said):
    (line,) = refused(tmp_path, HEAD + "  mixup: {alpha: {uniform: [0.1, 1]}}\n", override)
    assert line.startswith(said)


def test_bad_overrides_are_gathered(tmp_path):
    found = refused(tmp_path, HEAD + "  sgd: {}\n", "=5", "training.epochs=[1", "training.epochs=0", "tricks.mixpu={}")
    assert len(found) == 4


# --- files that are not there

def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, HEAD + "  sgd: {}\n", "mine.yaml")
    for name, said in [("mine.yml", "mine.yml: no such file. Did you mean mine.yaml?"),
                       ("long_tial.yaml", "long_tial.yaml: no such file. Did you mean long_tail.yaml or "
                        "long_tail_cifar.yaml?"),
                       ("nowhere/mine.yaml", "nowhere/mine.yaml: no such file."), ("\0", r"\x00: no such file."),
                       (str(tmp_path), "is a folder. Name a space file."),
                       ("x" * 5000, "no such file."), ("x" * 5000 + "/y.yaml", "Those that ship: augmentation.yaml")]:
        with pytest.raises(SpaceError) as caught:
            load_space(name)
        assert said in str(caught.value) and len(caught.value.problems) == 1 and len(str(caught.value)) < 1000


@pytest.mark.skipif(os.name != "posix", reason="a device file")
def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(SpaceError, match="/dev/zero: more than 1,000,000 bytes"):
        load_space("/dev/zero")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_file_that_is_closed(tmp_path):
    path = write(tmp_path, HEAD)
    path.chmod(0)
    with pytest.raises(SpaceError, match="cannot be read: Permission denied"):
        load_space(path)


@pytest.mark.parametrize(("window", "said"), [
    ("start: {choice: [0.0, 0.9]}, stop: {choice: [0.5, 1.0]}", "start is 0.9 and stop 0.5"),
    ("start: {choice: [0.0, 0.5]}, stop: {choice: [0.5, 1.0]}", "start is 0.5 and stop 0.5"),
    ("start: 0.7, stop: {choice: [0.5, 1.0]}", "start is 0.7 and stop 0.5"),
    ("stop: {randint: [0, 2]}", "start is 0 and stop 0"), ("start: search, stop: search", "start is 1 and stop 0")])
def test_a_window_that_may_be_empty_is_refused(tmp_path, window, said):
    (line,) = refused(tmp_path, f"{HEAD}  mixup: {{{window}}}\n")
    assert line == (f":{FIRST}:3  tricks.mixup: its window is empty where {said}; every stop must be after every "
                    "start.")


@pytest.mark.parametrize("window", ["start: {uniform: [0, 0.5]}, stop: {uniform: [0.5, 1]}", "stop: search",
                                    "start: {choice: [0.0, 0.5]}, stop: {choice: [0.6, 1.0]}", "start: search"])
def test_a_window_whose_ends_meet_with_no_chance_at_all_is_fine(tmp_path, window):
    assert entry(tmp_path, f"  mixup: {{{window}}}\n").name == "mixup"


@pytest.mark.parametrize(("section", "said"), [
    ("fits: {imbalance: {min: 10, max: 1}}", "fits.imbalance: min 10 is greater than max 1. Swap them."),
    ("fits: {images: {min: -10}}", "fits.images.min: -10 is not allowed; min must be greater than or equal to 0."),
    ("resources: {gpus: 2.5}", "resources.gpus: 2.5 GPUs a trial cannot be had: a trial takes whole GPUs, or a share "
                               "of one. Give a whole number."),
    ("confirm: {seeds: 99999999999999999999}",
     "confirm.seeds: 100000000000000000000 is not allowed; seeds must be less than or equal to 1000.")])
def test_what_no_search_can_be_is_refused(tmp_path, section, said):
    (line,) = refused(tmp_path, f"{LAST}{section}\n")
    assert line.partition("  ")[2] == said and line.startswith(f":{FIRST + 1}:")


@pytest.mark.parametrize(("data", "said"), [
    ("imbalance: {factor: 1e300}", ".imbalance.factor: 1e+300 is not allowed; factor must be less than or equal to "
                                   "1000000."),
    ("size: 20000", ".size: 20000 is not allowed; size must be less than or equal to 4096."),
    ("group: {pattern: '(x)'}", ".group: digits has neither paths nor columns. Leave it out, or bring the images as "
                                "image_folder or csv."),
    ("duplicates: dorp", ".duplicates: 'dorp' is not allowed; duplicates must be 'keep' or 'drop'. Did you mean "
                         "drop?")])
def test_data_that_no_search_can_load_are_refused(tmp_path, data, said):
    (line,) = refused(tmp_path, head("source: digits", f"source: digits, {data}"))
    assert line.partition("  data")[2] == said and line.startswith(":2:")


@pytest.mark.parametrize("numbers", ["epochs: 9.0, batch_size: 64.0", "epochs: 9., batch_size: 6.4e1"])
def test_a_whole_number_may_be_written_as_a_real_one(tmp_path, numbers):
    document = load_space(write(tmp_path, head("epochs: 9", numbers))).document
    assert (document.training.epochs, document.training.batch_size) == (9, 64)
    assert {type(document.training.epochs), type(document.training.batch_size)} == {int}


@pytest.mark.parametrize(("tricks", "fixed"), [
    ("  sgd: {lr: 1e-4}\n", {"lr": 0.0001}), ("  sgd: {lr: 1}\n", {"lr": 1.0}),
    ("  crop: {padding: 2.0}\n", {"padding": 2}),
    ("  crop: {padding: 1e1}\n", {"padding": 10}), ("  crop: {padding: 010}\n", {"padding": 10})])
def test_numbers_that_are_fine(tmp_path, tricks, fixed):
    """Number 27 of the corpus, and its kin."""
    found = entry(tmp_path, tricks).fixed
    assert found == fixed and [type(value) for value in found.values()] == [type(value) for value in fixed.values()]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    found = refused(tmp_path, """name: a b
serach: {}
data: {size: -1}
model: {name: resnet9}
training: {epochs: 0}
objective: {metric: val/acuracy}
search: {trails: 3}
resources: {cpus: 0}
advice: never
start: [nope]
tricks:
  mixpu: {}
  mixup: {alhpa: 3, stop: 2}
  cutmix: {alpha: {unifrom: [1, 2]}}
  sgd: {lr: 0}
""", "confrim.seeds=3")
    assert sorted(re.match(r"(?::(\d+):\d+|--set)  (\S+):", line).groups("--set") for line in found) == sorted([
        ("1", "name"), ("2", "serach"), ("3", "data.size"), ("4", "model.name"), ("5", "training.epochs"),
        ("6", "objective.metric"), ("7", "search.trails"), ("8", "resources.cpus"), ("9", "advice"), ("10", "start.0"),
        ("12", "tricks.mixpu"), ("13", "tricks.mixup.alhpa"), ("13", "tricks.mixup.stop"),
        ("14", "tricks.cutmix.alpha.unifrom"), ("15", "tricks.sgd.lr"), ("--set", "confrim")])


def test_a_section_that_is_wrong_brings_no_other_complaints(tmp_path):
    """Without epochs there is nothing to say of the first rung, without a metric nothing of the mode."""
    (line,) = refused(tmp_path, head("epochs: 9", "epochs: many").replace("trials: 4", "rungs: {first: 50}"))
    assert "'many' is not a whole number" in line
    (line,) = refused(tmp_path, LAST + "objective: {metric: 3, mode: min}\n")
    assert "objective.metric: 3 is not text" in line


def test_a_path_cannot_hold_a_nul(tmp_path):
    (line,) = refused(tmp_path, HEAD + '  distillation: {teacher: "a\\0b"}\n')
    assert line.startswith(f":{FIRST}:18  tricks.distillation.teacher: '")
    assert "/a\\x00b' is not allowed; teacher must be " in line


def test_columns_point_at_the_key(tmp_path):
    (line,) = refused(tmp_path, HEAD + "  mixup: {alpha: 0}\n")
    assert line == f":{FIRST}:11  tricks.mixup.alpha: 0 is not allowed; alpha must be > 0 (Beta concentration)."


def test_damaged_files_give_a_space_or_a_clear_error(tmp_path):
    """Three hundred copies of the space that ships, each damaged at random: nothing else may come of them."""
    whole = next(path for path in shipped() if path.name == "long_tail.yaml").read_bytes()
    rows, outcomes = whole.splitlines(keepends=True), {"space": 0, "error": 0}
    junk = [b"{", b"]", b": ", b"-", b"'", b"&a ", b"*a", b"!!x ", b"\t", b"\0", b"\xff", b"1e999", b"null", b"{}",
            b"[]", b"true", b"- - -", b"start", b"0", b"-1", b"search", b"\xe2\x80\xae"]
    for seed in range(300):
        draw = random.Random(seed)
        place, text = draw.randrange(len(whole)), bytearray(whole)
        kind = draw.choice(("drop", "twice", "swap", "insert", "flip", "cut"))
        if kind in ("drop", "twice", "swap"):
            changed = list(rows)
            row = changed.pop(draw.randrange(len(rows)))
            for _ in range({"drop": 0, "twice": 2, "swap": 1}[kind]):
                changed.insert(draw.randrange(len(changed)), row)
            text = bytearray(b"".join(changed))
        elif kind == "insert":
            text[place:place + draw.randrange(3)] = draw.choice(junk)
        elif kind == "flip":
            text[place] ^= 1 << draw.randrange(8)
        else:
            del text[place:]
        try:
            space = load_space(write(tmp_path, bytes(text))).space
        except InputError as error:
            outcomes["error"] += 1
            assert all(line.isprintable() and len(line) < 1000 for line in error.problems), (seed, error.problems)
        else:
            outcomes["space"] += 1
            assert not problems(space.draw(lambda name, domain: first(domain)).uses), seed
    assert min(outcomes.values()) > 30, outcomes


def first(domain):
    return domain.options[0] if isinstance(domain, Choice) else domain.low


def test_a_start_bundle_with_published_weights_needs_a_model_that_has_some(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nstart: [lp_ft]\ntricks: {sgd: {}, linear_probe: {}}\n")
    with pytest.raises(SpaceError, match=r"mine\.yaml:2:9  start\.0: lp_ft begins with published weights, and "
                       "nobody has published any for resnet8"):
        load_space(path)
    path.write_text("name: mine\nmodel: {name: 'timm:resnet18'}\nstart: [lp_ft]\ntricks: {sgd: {}, linear_probe: {}}\n")
    assert wanted(load_space(path)) == ["default"]      # which a search fetches beforehand
