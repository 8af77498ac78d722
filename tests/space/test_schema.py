"""The JSON Schema of a space file, judged by another library: it takes what is right and refuses what is wrong."""
import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from autotricks.core.domain import Choice
from autotricks.errors import SpaceError
from autotricks.io.yaml_tree import parse
from autotricks.space import load_space
from autotricks.space.files import SHIPPED, shipped
from autotricks.space.schema import schema
from autotricks.tricks.catalog import catalog
from tests.conftest import for_each

from .made import LAST, write
from .test_corpus import BAD, EXPECTED

VALID = Draft202012Validator(schema())
# What no schema can say: between one value and another, or between the file and the world.
BEYOND = {"21_low_high", "22_low_high", "22_low_high_2", "22_one_whole_number", "24_step_too_large",
          "24_step_does_not_meet", "37_needs_a_trick_that_is_not_listed", "39_one_seat", "39_two_losses",
          "39_refused_trait", "40_weights_and_sampling_both_on", "41_first_rung", "42_parallel", "43_start",
          "43_start_without", "46_timm", "46_torchvision", "46_code", "50_grid_over_a_range", "window_backwards",
          "empty_window", "29_1e400", "29_infinite_cores", "36_1e400", "36_in_a_range"}      # JSON has no infinity


def document(text):
    return parse(text, "f.yaml").value


def refused(values, trick="mixup"):
    return not VALID.is_valid({"name": "demo", "tricks": {trick: values}})


def test_it_is_a_schema_itself():
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_file_that_ships_is_current():
    path = next(folder for folder in SHIPPED if folder.is_dir()) / "space.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(schema())), (
        "run: autotricks schema > search_spaces/space.schema.json")


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_a_space_that_ships_names_the_schema_and_follows_it(path):
    text = path.read_text("utf-8")
    modeline = text.splitlines()[0]
    assert modeline == "# yaml-language-server: $schema=space.schema.json"
    assert (path.parent / modeline.partition("$schema=")[2]).exists()
    assert not list(VALID.iter_errors(document(text)))


def test_every_trick_parameter_and_window_is_there():
    tricks = schema()["properties"]["tricks"]["properties"]
    assert list(tricks) == list(catalog())
    for name, trick in catalog().items():
        window = {"start", "stop"} if all(slot.phased for slot in trick.seats) else set()
        assert set(tricks[name]["properties"]) == {*trick.declared(), "always", *window}
    assert "start" not in tricks["sgd"]["properties"] and "start" in tricks["mixup"]["properties"]


def test_defaults_are_taken_and_what_the_trick_refuses_is_refused():
    """Against each trick's own judgment, for values around the ends of its ranges."""
    found = [f"{name}: {values} is {'refused' if taken else 'taken'}" for name, trick in catalog().items()
             for values, taken in judged(trick) if refused(values, name) is taken]
    assert not found, "\n".join(found)


def judged(trick):
    """Yield what may be written for a trick, and whether the trick takes it."""
    for word, parameter in trick.declared().items():
        for value in (trick.defaults()[word], 0, 1, -1, 0.5, 1.5, 1e9, True, "word", None, [1], *(
                parameter.search.options if isinstance(parameter.search, Choice) else ())):
            taken = value is not None and not isinstance(value, list) and not trick.problems({word: value})
            yield {word: value}, taken
            yield {word: {"choice": [value]}}, taken
        yield {word: "search"}, True
    yield from (({}, True), (None, True), ({"no_such_parameter": 1}, False), ([], False))


@for_each([
    ({"alpha": {"uniform": [0.1, 1]}}, False), ({"alpha": {"uniform": [0, 1]}}, True),
    ({"alpha": {"uniform": [1]}}, True), ({"alpha": {"uniform": [0.1, 1, 2]}}, True),
    ({"alpha": {"unifrom": [0.1, 1]}}, True), ({"alpha": {"uniform": [0.1, 1], "choice": [1]}}, True),
    ({"alpha": {}}, True), ({"alpha": {"quniform": [0.1, 1, 0]}}, True), ({"alpha": {"quniform": [1, 2, 0.5]}}, False),
    ({"alpha": {"choice": []}}, True), ({"alpha": {"choice": [1, 1]}}, True), ({"start": 0.5}, False),
    ({"stop": {"randint": [0, 2]}}, False), ({"stop": {"randint": [0, 3]}}, True), ({"stop": 1.1}, True),
    ({"always": True}, False), ({"always": "yes"}, True)])
def test_domains_windows_and_always(values, wrong):
    assert refused(values) is wrong


def test_what_cannot_have_a_window_cannot_have_one():
    assert refused({"start": 0.5}, "sgd") and not refused({"lr": 0.5}, "sgd")


@pytest.mark.parametrize(("section", "wrong"), [
    ("data: {test: 1.0}", True), ("data: {validation: 0}", True), ("data: {seed: -1}", True),
    ("data: {duplicates: dorp}", True), ("data: {duplicates: drop}", False), ("data: {max_bad: 1.5}", True),
    ("data: {source: 'csv:x.csv', group: {}}", True), ("data: {size: 4096}", False), ("data: {size: 4097}", True),
    ("data: {source: 'csv:x.csv', group: {column: scene, pattern: '(x)'}}", True),
    ("data: {source: 'csv:x.csv', group: {column: scene}}", False), ("data: {imbalance: {factor: 1e300}}", True),
    ("data: {source: 'csv:x.csv', group: {column: scene, pattern: null}}", False), ("training: {epochs: 9.0}", False),
    ("training: {epochs: 9.5}", True), ("training: {batch_size: 8.0}", False), ("search: {parallel: 2.0}", False),
    ("resources: {gpus: 2.5}", True), ("resources: {gpus: 2}", False), ("resources: {gpus: 0.25}", False),
    ("fits: {images: {min: -1}}", True), ("tricks: {sgd: {start: 0.0, stop: 1.0}}", True),
    ("tricks: {mixup: {start: 0.0, stop: 1.0}}", False)])
def test_schema_and_check_agree(tmp_path, section, wrong):
    text = f"name: demo\n{section}\n" + ("" if section.startswith("tricks") else "tricks: {sgd: {}}\n")
    assert VALID.is_valid(document(text)) is not wrong
    try:
        load_space(write(tmp_path, text))
    except SpaceError as error:
        assert wrong, error
    else:
        assert not wrong


def test_the_file_that_the_corpus_is_made_from_follows_it():
    assert VALID.is_valid(document(LAST))


def test_a_bad_file_fails_wherever_a_schema_can_tell():
    found = []
    for name in EXPECTED:
        try:
            value = document((BAD / f"{name}.yaml").read_bytes())
        except SpaceError:
            continue    # no YAML, or none that is taken
        if VALID.is_valid(value) is not (name in BEYOND):
            found.append(f"{name}: {yaml.safe_dump(value)}")
    assert not found, "\n".join(found)
