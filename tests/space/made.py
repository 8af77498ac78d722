"""Space files made for a test, and what is said of the bad ones."""
import json
import random

import pytest

from autotricks.core.domain import Choice, Int
from autotricks.errors import InputError
from autotricks.space import load_space

HEAD = """name: demo
data: {source: digits}
model: {name: resnet8}
training: {epochs: 9}
search: {trials: 4}
tricks:
"""
FIRST = HEAD.count("\n") + 1    # the line of the first trick
LAST = HEAD + "  sgd: {}\n"


def write(folder, text, name="space.yaml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder, text, *overrides, trust=False):
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        load_space(path, overrides, trust)
    assert caught.value.exit_code == 2
    for line in caught.value.problems:
        assert "\n" not in line and line.startswith((str(path), "--set"))
    return [line.removeprefix(str(path)) for line in caught.value.problems]


def head(old, new):
    """A space with something else in its head."""
    assert HEAD.count(old) == 1
    return HEAD.replace(old, new) + "  sgd: {}\n"


def loaded(folder, tricks, *overrides, trust=False):
    return load_space(write(folder, HEAD + tricks), overrides, trust)


def picker(seed):
    """What picks a value of each domain at random, evenly and seeded."""
    draw = random.Random(seed)

    def picked(name, domain):
        if isinstance(domain, Choice):
            return draw.choice(domain.options)
        if isinstance(domain, Int):
            return draw.randint(domain.low, domain.high)
        return draw.uniform(domain.low, domain.high)
    return picked


def key(bundle):
    """The whole bundle as one text."""
    return json.dumps(bundle.document(), sort_keys=True)
