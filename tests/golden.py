"""Golden values: what a change of structure must not change, bit for bit on one machine.

    python -m tests.golden record FILE      # before
    python -m tests.golden compare FILE     # after, on the same machine: another CPU sums in another order

Recorded are, for every trick of the catalog, the weights after two epochs of a small run; the losses of five steps of
twenty bundles drawn from the spaces that ship; and what seeded searches on one slot try, score, and crown.
"""
from __future__ import annotations

import hashlib
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import autotricks
from autotricks.core.objective import SPEED
from autotricks.core.traits import DataTrait, Trait
from autotricks.errors import AutotricksError
from autotricks.tricks.catalog import catalog
from tests.conftest import make_dataset

SPACES = Path(__file__).parent.parent / "search_spaces"
DRAWS, STEPS = 20, 5
SAMPLERS = ("bayesian", "tpe", "random")
SMALL = ["training.epochs=6", "training.precision=fp32", "search.trials=14", "search.trainings=null",
         "search.engine=local", "search.parallel=1"]
SEARCH = autotricks.search
TIMES = ("seconds", "cpu", SPEED, "check")    # which no two runs share


def recorded() -> Iterator[tuple[str, Any]]:
    """Yield each value by its name."""
    torch.set_num_threads(1)
    for name in (name for name, trick in catalog().items() if DataTrait.BOXES not in trick.requires_data):
        yield f"weights of {name}", _weights(name)
    for number in range(DRAWS):
        yield f"losses of draw {number}", _losses(number)
    for sampler in SAMPLERS:
        yield f"search by {sampler}", _searched(sampler)


def _weights(name: str) -> list[str]:
    """Return how the run of a trick ended, and a hash of its weights after two epochs."""
    tricks = catalog()
    needed = [next(other for other in tricks.values() if trait in other.provides)
              for trait in sorted(tricks[name].requires, key=lambda trait: trait.name)]
    bundle = autotricks.Bundle(tuple(autotricks.Use(trick()) for trick in (tricks[name], *needed)), epochs=2,
                               batch_size=16)
    result = autotricks.run_trial(bundle, make_dataset())
    digest = hashlib.sha256()
    for key, value in sorted(result.model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().numpy().tobytes())
    return [result.end.value, digest.hexdigest()[:16]]


def _losses(number: int) -> list[float] | str:
    """Return the losses of five steps, each of them an epoch, of a bundle drawn from a space that ships."""
    names = sorted(path.name for path in SPACES.glob("*.yaml") if path.name != "detection.yaml")    # of other images
    loaded = autotricks.load_space(names[number % len(names)], ["training.precision=fp32"])
    rng = random.Random(number)
    data = make_dataset((16, 10, 6), size=12, channels=3, seed=number)
    bundle = loaded.space.draw(lambda name, domain: _anywhere(domain, rng)).rescaled(STEPS)
    # which a model of ours cannot begin with
    uses = tuple(use for use in bundle.uses if not {Trait.PRETRAINED} & (use.trick.provides | use.trick.requires))
    bundle = replace(bundle, uses=uses, model="resnet8", batch_size=32)
    try:
        result = autotricks.run_trial(bundle, data)
    except AutotricksError as error:    # of a trick that this model cannot take
        return str(error)
    return [row.values["train/loss"] for row in result.history]


def _anywhere(domain: Any, rng: random.Random) -> Any:
    if hasattr(domain, "options"):
        return rng.choice(domain.options)
    if domain.log:
        value = math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
    else:
        value = rng.uniform(domain.low, domain.high)
    return round(value) if isinstance(domain.low, int) else min(max(value, domain.low), domain.high)


def _searched(sampler: str) -> dict[str, Any]:
    """Return a hash of what a search's ledger says, what it crowned, and a hash of those weights."""
    loaded = autotricks.load_space("long_tail.yaml", [*SMALL, f"search.sampler={sampler}"])
    with tempfile.TemporaryDirectory() as folder:
        options = autotricks.Options(root=Path(folder), tracking="off", confirm=False)
        found = SEARCH(loaded, options)
        lines = (found.folder / "trials.jsonl").read_text("utf-8").splitlines()
        ledger = [_timeless(line) for line in map(json.loads, lines) if line["kind"] != "search"]   # a space's form
        champion = found.champion
        assert champion is not None
        return {"lines": len(ledger), "ledger": hashlib.sha256(json.dumps(ledger, sort_keys=True).encode()).hexdigest(),
                "champion": champion.trial.bundle.hash, "score": champion.score}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_timeless(part) for part in value]
    return value


def main(what: str, path: Path) -> int:
    """Record or compare; return 1 where something differs."""
    if what == "record":
        path.write_text(json.dumps(dict(recorded()), indent=1) + "\n", encoding="utf-8")
        return 0
    before, differing = json.loads(path.read_text("utf-8")), 0
    now = dict(recorded())
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            differing += 1
            print(f"{name}: {before.get(name)} before, {now.get(name)} now")
    print(f"{len(now)} values, {differing} differ")
    return min(differing, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
