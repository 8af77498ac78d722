"""What is known before a search: of columns, of trainings of another length, of early scores; and files of it."""
import json
import math
from itertools import pairwise

import pytest

from autotricks.errors import InputError
from autotricks.space.load import load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tasks.detection.task import DETECTION
from autotricks.tricks.catalog import catalog, plan_of
from autotricks.tuning import prior
from autotricks.tuning.features import CROWD, Features
from autotricks.tuning.prior import FLAT_SD, NONE, SHIPPED, UNKNOWN_MEAN, Curve, Prior, load
from autotricks.tuning.samplers import sampler_of

EFFECTS = {"mixup": (0.2, 0.1), "mixup.alpha": (0.05, 0.02), "sgd": (-0.1, 0.3)}
FEATURES = Features(("mixup", "flip", "sgd"), 50)


def columns(made: Prior, trust: float = 1.0) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of each column."""
    mean, variance = made.trusted(trust).columns(FEATURES)
    return {name: (float(middle), math.sqrt(part))
            for name, middle, part in zip(FEATURES.names, mean, variance, strict=True)}


def test_a_column_that_is_known_has_its_mean_and_spread():
    found = columns(Prior(EFFECTS))
    assert found["mixup"] == pytest.approx((0.2, 0.1)) and found["mixup.alpha"] == pytest.approx((0.05, 0.02))
    assert found["sgd"] == pytest.approx((-0.1, 0.3))


def test_of_unknown_tricks_little_is_expected_and_of_unknown_parameters_nothing():
    found = columns(Prior(EFFECTS))
    assert found["flip"] == pytest.approx((UNKNOWN_MEAN, FLAT_SD))
    assert found["mixup.stop"] == found["sgd.lr"] == found["sgd.nesterov=True"] == pytest.approx((0.0, FLAT_SD))


def test_without_a_prior_nothing_is_expected_of_anything():
    assert all(found == pytest.approx((0.0, FLAT_SD)) for found in columns(Prior()).values())


def test_what_is_not_believed_of_a_mean_becomes_spread():
    """A quarter of 0.2 is left; three quarters of it, 0.15, join the spread of 0.1: the root of 0.01 + 0.0225."""
    found = columns(Prior(EFFECTS), trust=0.25)
    assert found["mixup"] == pytest.approx((0.05, math.sqrt(0.0325)))
    assert found["sgd"] == pytest.approx((-0.025, math.sqrt(0.09 + 0.075 ** 2)))
    assert columns(Prior(EFFECTS), trust=0.0)["mixup"] == pytest.approx((0.0, math.sqrt(0.01 + 0.04)))


@pytest.mark.parametrize(("steps", "trust"), [
    (1000, 1.0), (10_000, 0.5), (100, 0.5), (100_000, 0.2), (0, 1.0)])
def test_trainings_ten_times_as_long_are_believed_by_half(steps, trust):
    assert Prior(steps=1000).trust(steps) == pytest.approx(trust)


def test_a_prior_of_unknown_length_is_believed():
    assert Prior().trust(12_345) == 1.0


KNOWN = Prior(curves={0.2: Curve(0.5, 0.4, -1.0, {"mixup": -0.2, "ema": 0.1}),
                      0.6: Curve(0.9, 0.2, -0.2, {"mixup": 0.0})})


@pytest.mark.parametrize(("fraction", "slope", "sd", "rise", "mixup", "ema"), [
    (0.2, 0.5, 0.4, -1.0, -0.2, 0.1), (0.6, 0.9, 0.2, -0.2, 0.0, 0.0),      # what is known
    (0.3, 0.6, 0.35, -0.8, -0.15, 0.075), (0.4, 0.7, 0.3, -0.6, -0.1, 0.05),       # a quarter and half of the way
    (0.1, 0.5, 0.4, -1.0, -0.2, 0.1), (0.9, 0.9, 0.2, -0.2, 0.0, 0.0)])     # beyond, as at the end
def test_curves_lie_between_those_that_are_known(fraction, slope, sd, rise, mixup, ema):
    found = KNOWN.curve(fraction)
    assert (found.slope, found.sd, found.rise) == pytest.approx((slope, sd, rise))
    assert (found.gains["mixup"], found.gains["ema"]) == pytest.approx((mixup, ema))


def test_without_curves_the_earlier_a_score_the_less_it_says():
    """A quarter of training leaves three quarters: the root of 4 - 1, times twice the noise."""
    found = Prior(noise=0.1).curve(0.25)
    assert (found.slope, found.rise, found.gains) == (1.0, 0.0, {})
    assert found.sd == pytest.approx(2 * 0.1 * math.sqrt(3))
    assert Prior(noise=0.1).curve(0.999).sd < 0.01


def written(path, **changes):
    table = {"effects": {"mixup": [0.2, 0.1]}, "residual": 0.05, "length": 3.0, "noise": 0.1, "steps": 500.0,
             "curves": {"0.500": {"slope": 0.8, "sd": 0.2, "rise": -0.3, "gains": {"mixup": -0.1}}}, "portfolio": []}
    path.write_text(json.dumps({**table, **changes}))
    return str(path)


def test_a_file_is_read(tmp_path):
    found = load(written(tmp_path / "mine.json"))
    assert found == Prior({"mixup": (0.2, 0.1)}, 0.05, 3.0, 0.1, {0.5: Curve(0.8, 0.2, -0.3, {"mixup": -0.1})}, 500.0)
    assert load(NONE) == Prior()


def refused(name) -> str:
    with pytest.raises(InputError) as caught:
        load(str(name))
    line, = caught.value.problems
    assert line.startswith("search.prior: ") and "Write shipped, none, or the path of a file that" in line
    return line


@pytest.mark.parametrize("content", [
    b"", b"no JSON", b"[]", b"3", b"null", b"{}", b'{"effects": {}}', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_prior_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    assert f"{path} is no prior." in refused(path)


@pytest.mark.parametrize("changes", [
    {"effects": []}, {"effects": {"mixup": 0.2}}, {"effects": {"mixup": [0.2]}}, {"effects": {"mixup": ["a", 0.1]}},
    {"residual": None}, {"noise": "loud"}, {"curves": {"half": {}}}, {"curves": {"0.5": {"slope": 1.0}}},
    {"curves": []}, {"steps": None}])
def test_a_file_with_a_wrong_value_is_refused_in_one_line(tmp_path, changes):
    assert "is no prior." in refused(written(tmp_path / "bad.json", **changes))


@pytest.mark.parametrize("changes", [
    {"effects": {"mixup": [math.nan, 0.1]}}, {"effects": {"mixup": [0.2, math.inf]}}, {"residual": math.nan},
    {"length": 0.0}, {"noise": 0.0}, {"noise": -0.1}, {"noise": math.nan}, {"steps": -1.0},
    {"curves": {"1.5": {"slope": 0.8, "sd": 0.2, "rise": 0.0, "gains": {}}}},
    {"curves": {"0.5": {"slope": 0.0, "sd": 0.2, "rise": 0.0, "gains": {}}}}])
def test_a_file_with_a_number_that_means_nothing_is_refused_in_one_line(tmp_path, changes):
    """What follows from it would be no number, or an error in the midst of a search."""
    assert "is no prior." in refused(written(tmp_path / "bad.json", **changes))


@pytest.mark.parametrize("name", ["missing.json", "", "nul\0.json"])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    refused(tmp_path / name)    # the empty name is the folder's


@pytest.mark.parametrize("task", [CLASSIFICATION, DETECTION], ids=lambda task: task.name)
def test_the_prior_that_ships(task):
    """Its effects are of tricks that there are, its bundles can be trained."""
    found = load(SHIPPED, boxes=task is DETECTION)
    assert len(found.effects) > 20 and found.noise > 0 and found.residual > 0 and found.length > 0
    assert all(sd > 0 and math.isfinite(mean) for mean, sd in found.effects.values())
    assert {name.split(".")[0] for name in found.effects} <= {*catalog(), CROWD}
    assert found.steps > 0
    for bundle in found.portfolio:
        plan_of(bundle, task)     # raises where tricks conflict


def test_early_scores_of_the_prior_that_ships_tell_less_than_late_ones():
    found = load(SHIPPED)
    fractions = list(found.curves)
    assert len(fractions) >= 3 and fractions[0] > 0 and fractions[-1] < 1
    assert all(early < late for early, late in pairwise(fractions))
    assert all(found.curve(early).sd / found.curve(early).slope > found.curve(late).sd / found.curve(late).slope
               for early, late in pairwise(fractions))


def test_the_prior_that_ships_is_read_once():
    assert load(SHIPPED) is load(SHIPPED) is prior.load(SHIPPED)


def test_objects_have_a_prior_of_their_own():
    """What helps classifiers says nothing of detectors: each search first tries what was good on data of its kind."""
    words = {name.split(".")[0] for name in load(SHIPPED, boxes=True).effects}
    assert {"dense_focal", "center_sampling"} <= words and "mixup" not in words
    assert load(SHIPPED).effects != load(SHIPPED, boxes=True).effects
    found = load_space("detection.yaml", ["training.precision=fp32"])
    sampler = sampler_of(found)
    for number, bundle in enumerate(found.start.values()):
        sampler.adopt(number, bundle, True)
    first = sampler.propose(len(found.start), 0).bundle
    portfolio = load(SHIPPED, boxes=True).portfolio[0]
    assert {use.trick.name for use in first.uses} == {use.trick.name for use in portfolio.uses}
