"""Mutations of every space that ships: keys and values misspelled, renamed, doubled, retyped and deleted, up to four
in a file. Each that must be refused is, at its line and column, beside all others, with the word that was meant."""
import re
from collections import Counter
from contextlib import suppress

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from autotricks.errors import InputError
from autotricks.space import load_space
from autotricks.space.load import shipped
from autotricks.space.paths import kind as place_kind
from autotricks.tricks.catalog import catalog

from .made import write

TEXTS = [path.read_text("utf-8") for path in shipped()]
WORDS = {"sampler", "fidelity", "mode", "metric", "name"}           # keys whose values are words of a closed list
WRONG = {bool: ["7", "often", "[true]", "{}"], int: ["fast", "true", "[1]", "'3'", "{a: 1}", "1e999"],
         float: ["fast", "true", "[1]", "'0.1'", "1e999", "-.inf"], str: ["7", "[a]", "{a: 1}", "true"],
         dict: ["7", "word", "[1]"], list: ["7", "word", "{a: 1}"]}
LETTERS = "abcdefghijklmnopqrstuvwxyz_"


def places(node, path=()):
    """Yield (path, key node, value node, whether in a flow mapping) of every key below a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key, value, node.flow_style
            yield from places(value, (*path, key.value))


SITES = [list(places(yaml.compose(text, yaml.SafeLoader))) for text in TEXTS]


@st.composite
def typos(draw, word):
    """A word with one slip of the pen."""
    place, letter = draw(st.integers(0, len(word) - 1)), draw(st.sampled_from(LETTERS))
    return draw(st.sampled_from([
        word[:place] + word[place + 1:], word[:place] + letter + word[place:], word[:place] + letter + word[place + 1:],
        word[:place] + word[place:place + 2][::-1] + word[place + 2:]]))


def kinds(path, value):
    """What may be done to a key and its value."""
    meant = path[-1] in WORDS and len(path) == 2
    return ["typo", "rename", "double", "retype", "delete", *(["word"] if meant else [])]


@st.composite
def mutations(draw):
    """A changed text, and for each change its kind, its offset in the new text, and the word that was meant."""
    number = draw(st.integers(0, len(TEXTS) - 1))
    text, sites = TEXTS[number], SITES[number]
    chosen = draw(st.lists(st.sampled_from(sites), min_size=1, max_size=4, unique_by=lambda site: site[0]))
    paths = [site[0] for site in chosen]
    assume(not any(one != other and one == other[:len(one)] for one in paths for other in paths))
    edits = []
    for path, key, value, flow in chosen:
        kind = draw(st.sampled_from(kinds(path, value)))
        start, end, word = key.start_mark.index, key.end_mark.index, key.value
        new, skip = "", 0
        if kind == "typo":
            new = draw(typos(word))
            assume(len(word) > 1 and new not in catalog() and new != word and re.fullmatch("[a-z_]+", new))
            assume(not [site for site in sites if site[0] == (*path[:-1], new)])
        elif kind == "rename":
            new = "zz" + draw(st.text(LETTERS, min_size=1, max_size=8))
        elif kind == "double":
            new = f"{word}: 0{', ' if flow else chr(10) + ' ' * key.start_mark.column}"
            skip, end = len(new), start
        elif kind == "word":
            start, end, word = value.start_mark.index, value.end_mark.index, value.value
            new = draw(typos(word))
            assume(new != word and re.fullmatch("[a-z0-9_/]*[a-z_/]", new))
        elif kind == "retype":
            kind_of = {yaml.MappingNode: dict, yaml.SequenceNode: list}.get(type(value)) or (
                str if value.style else type(yaml.safe_load(value.value)))
            start, end = value.start_mark.index, value.end_mark.index
            skip = key.start_mark.index - start      # comments may stand between; an error is at the key
            parameter = path[0] == "tricks" and len(path) == 3      # for which a mapping is a domain, wrong inside it
            domain = parameter and (kind_of is dict or value.value == "search")
            legal = ["word", "[1]"][bool(parameter and place_kind(path[1], path[2])):]     # a place may be any word
            new = draw(st.sampled_from(legal if domain else [
                one for one in WRONG[kind_of] if not (parameter and one.startswith("{"))]))
        else:
            end = value.end_mark.index
            new = "" if not flow else draw(st.sampled_from(["", "null"]))
        edits.append((start, end, new, kind, skip, word, path))
    shift, made = 0, []
    for start, end, new, kind, skip, word, path in sorted(edits):
        text = text[:start + shift] + new + text[end + shift:]
        made.append((kind, start + shift + skip, word, path))
        shift += len(new) - (end - start)
    return text, made


def position(text, offset):
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def sweep(examples, check, folder):
    """Check mutated spaces; return how many were refused, the share of lines with a place, of typos understood."""
    count = Counter()

    @settings(max_examples=examples, derandomize=True, database=None, deadline=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(mutations())
    def each(mutated):
        text, made = mutated
        path = write(folder, text)
        if fine(made):
            with suppress(InputError):   # and nothing else
                load_space(path)
            return
        count["refused"] += 1
        said = [line.removeprefix(str(path)) for line in check(path)]
        syntax = any("not valid YAML" in line for line in said)
        for line in said:
            count["lines"] += 1
            count["placed"] += bool(re.match(r":\d+:\d+  ", line))
        for kind, offset, word, at in made if not syntax else ():
            if kind == "delete" or fine([(kind, offset, word, at)]):
                continue
            row, column = position(text, offset)
            exact = kind != "word"
            mine = [line for line in said if re.match(rf":{row}:{column if exact else '[0-9]+'}  ", line)]
            assert mine, (kind, word, row, column, said, text)
            if kind in ("typo", "word"):
                count["typos"] += 1
                count["understood"] += any(f"Did you mean {word}?" in line for line in mine)
    each()
    return count


def fine(made):
    """Whether every change may leave the space as good as it was."""
    return all(kind == "delete" or (kind == "retype" and at[-1] in ("about", "without")) for kind, _, _, at in made)


def judged(count, examples, check):
    print(dict(count), f"lines with a place {count['placed'] / count['lines']:.1%}, the word that was meant first "
          f"{count['understood'] / count['typos']:.1%}, slowest check {check.slowest:.3f} s")
    assert count["refused"] >= examples * 0.8 and count["typos"] > examples / 4, count
    assert count["placed"] >= 0.95 * count["lines"], count
    assert count["understood"] >= 0.9 * count["typos"], count


def test_mutated_spaces(check, tmp_path):
    judged(sweep(100, check, tmp_path), 100, check)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_four_thousand_mutated_spaces(check, tmp_path):
    judged(sweep(4000, check, tmp_path), 4000, check)
