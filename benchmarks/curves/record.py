"""Record learning curves of many bundles, so that search policies can be compared without training anything.

For each bundle and seed, one row: the validation score after each epoch of the whole training (`prefix`), the score of
the bundle squeezed into each smaller budget (`compressed`), and the test score of the whole training, which is the
bundle's true value and which no policy may look at. Half of the bundles are drawn as random search draws them, half
with about five tricks, as the default sampler's strangers are; the start bundles come first.

    python benchmarks/curves/record.py digits_lt
    python benchmarks/curves/record.py cifar10_lt --data npz:cifar10.npz

goes on where it was interrupted, and packs the table when all is there.
"""
from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import torch  # noqa: E402

import autotricks  # noqa: E402
from autotricks.catalog import bundle_from  # noqa: E402
from autotricks.core.bundle import Bundle  # noqa: E402
from autotricks.core.dataset import Dataset  # noqa: E402
from autotricks.core.domain import Choice, Domain, Float, Int, Value  # noqa: E402
from autotricks.data import load as load_data, long_tail  # noqa: E402
from autotricks.processes import prepare as processes  # noqa: E402
from autotricks.space.load import LoadedSpace, load_space  # noqa: E402
from autotricks.trial import prepare  # noqa: E402

HERE = Path(__file__).parent
METRIC = "val/balanced_accuracy"


@dataclass(frozen=True)
class Recipe:
    """How a table is made.

    Args:
        space: The space that bundles are drawn from.
        overrides: What differs from the file.
        bundles: How many, start bundles included.
        seeds: Training seeds, from 0.
        budgets: Epochs into which each bundle is squeezed.
        largest: Training images of the largest class; 0 leaves the data as the space says.
        validation: Validation images kept; 0 keeps all.
        test: Test images kept; 0 keeps all.
    """

    space: str
    overrides: tuple[str, ...]
    bundles: int
    seeds: int
    budgets: tuple[int, ...]
    largest: int = 0
    validation: int = 0
    test: int = 0


RECIPES = {
    "digits_lt": Recipe("long_tail.yaml", (), 200, 3, (2, 3, 6, 10, 17, 25)),
    "cifar10_lt": Recipe("long_tail_cifar.yaml", (
        "model.name=resnet8", "training.epochs=27", "training.batch_size=64", "data.size=16", "data.imbalance=null",
        "tricks.warmup.epochs=1"), 48, 2, (3, 5, 9), 1000, 1000, 2000),
}


def drawn(loaded: LoadedSpace, count: int) -> dict[str, Bundle]:
    """Return `count` different bundles by label, the start bundles first."""
    found, hashes = dict(loaded.start), {bundle.hash for bundle in loaded.start.values()}
    place = 0
    while len(found) < count:
        bundle = draw(loaded, random.Random(f"curves/{place}"), 0.5 if place % 2 else few(loaded))
        label = f"{'even' if place % 2 else 'few'}-{place:03d}"
        place += 1
        if bundle.hash not in hashes:
            found[label] = bundle
            hashes.add(bundle.hash)
    return dict(list(found.items())[:count])


def draw(loaded: LoadedSpace, chance: random.Random, share: float) -> Bundle:
    return loaded.space.draw(lambda name, domain: pick(domain, chance, share))


def few(loaded: LoadedSpace, tricks: int = 5) -> float:
    """Return the share of yes among the yes-or-no choices that leads to about `tricks` tricks."""
    chance, places = random.Random("curves"), 0

    def counted(name: str, domain: Domain) -> Value:
        nonlocal places
        places += yes_or_no(domain)
        return pick(domain, chance, 0.5)
    loaded.space.draw(counted)
    return min(0.5, tricks / max(1, places))


def yes_or_no(domain: Domain) -> bool:
    return isinstance(domain, Choice) and domain.options == (False, True)


def pick(domain: Domain, chance: random.Random, share: float) -> Value:
    if yes_or_no(domain):
        return chance.random() < share
    if isinstance(domain, Choice):
        return chance.choice(domain.options)
    if isinstance(domain, Int):
        return chance.randint(domain.low, domain.high)
    assert isinstance(domain, Float)
    return domain.low * (domain.high / domain.low) ** chance.random() if domain.log else chance.uniform(
        domain.low, domain.high)


def dataset_of(loaded: LoadedSpace, recipe: Recipe) -> Dataset:
    """Return the data of a recipe, test included."""
    dataset = load_data(loaded.document.data.settings()).dataset
    if not recipe.largest:
        return dataset
    rows = torch.cat([(dataset.train.labels == label).nonzero()[:recipe.largest, 0] for label in range(
        len(dataset.classes))]).sort().values
    train = dataset.train.take(rows)
    train = train.take(long_tail.rows(train.labels, 100, 0))
    assert dataset.test is not None     # both are sorted by class: rows evenly spaced
    return replace(dataset, train=train, validation=dataset.validation.sample(recipe.validation),
                   test=dataset.test.sample(recipe.test))


_DATA: dict[str, Dataset] = {}


def trained(name: str, overrides: tuple[str, ...], document: dict[str, Any], label: str) -> dict[str, Any]:
    """Train one bundle in full and squeezed; return its row."""
    torch.set_num_threads(1)
    recipe, bundle, started = RECIPES[name], bundle_from(document), time.process_time()
    if name not in _DATA:
        _DATA[name] = dataset_of(load_space(recipe.space, overrides), recipe)
    dataset, row = _DATA[name], {"label": label, "hash": bundle.hash, "seed": bundle.seed}
    trainer = prepare(bundle, dataset.without_test())
    row["prefix"] = [score(metrics.values) for metrics in trainer.epochs()]
    row["spent"], row["end"] = round(trainer.spent, 3), trainer.end.value if trainer.end else None
    trainer.dataset = replace(dataset, validation=dataset.test)
    row["test"] = score(trainer.evaluate()) if row["end"] == "finished" else None
    row["compressed"] = {}
    for budget in recipe.budgets:
        short = prepare(bundle.squeezed(budget), dataset.without_test())
        curve = list(short.epochs())
        good = short.end and short.end.value == "finished"
        row["compressed"][str(budget)] = [score(curve[-1].values) if good else None, round(short.spent, 3)]
    return {**row, "seconds": round(time.process_time() - started, 2)}


def score(values: dict[str, float]) -> float | None:
    value = values[METRIC]
    return round(value, 4) if value == value else None


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what has been recorded; a torn last line is passed over."""
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description="Record the learning curves of many bundles.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data", help="where the images are, as in a space")
    parser.add_argument("--parallel", type=int, default=2, help="trainings at a time (2)")
    parser.add_argument("--work", type=Path, help="file to append to while recording (beside the table)")
    given = parser.parse_args()
    recipe, work = RECIPES[given.name], given.work or HERE / f"{given.name}.partial.jsonl"
    overrides = (*recipe.overrides, *([f"data.source={given.data}"] if given.data else []))
    loaded = load_space(recipe.space, overrides)
    bundles = drawn(loaded, recipe.bundles)
    done = {(row["hash"], row["seed"]) for row in rows(work)}
    jobs = [(label, replace(bundle, seed=seed)) for seed in range(recipe.seeds) for label, bundle in bundles.items()]
    jobs = [(label, bundle) for label, bundle in jobs if (bundle.hash, bundle.seed) not in done]
    print(f"{len(bundles)} bundles, {len(done)} trainings recorded, {len(jobs)} to go", flush=True)
    with ProcessPoolExecutor(given.parallel, processes(1)) as pool, work.open("a", encoding="utf-8") as file:
        waiting = [pool.submit(trained, given.name, overrides, bundle.document(), label) for label, bundle in jobs]
        for place, finished in enumerate(as_completed(waiting)):
            file.write(json.dumps(finished.result()) + "\n")
            file.flush()
            if place % 20 == 0:
                print(f"{place + 1}/{len(jobs)}", flush=True)
    pack(given.name, recipe, loaded, bundles, list(rows(work)))
    return 0


def pack(name: str, recipe: Recipe, loaded: LoadedSpace, bundles: dict[str, Bundle],
         found: list[dict[str, Any]]) -> None:
    """Write the table with its recipe."""
    told = {"recipe": asdict(recipe), "metric": METRIC, "epochs": loaded.document.training.epochs,
            "autotricks": autotricks.__version__, "torch": torch.__version__,
            "bundles": {label: {"tricks": bundle.document()["tricks"], "picks": loaded.space.locate(bundle)}
                        for label, bundle in bundles.items()},
            "rows": [{key: value for key, value in row.items() if key != "hash"} for row in
                     sorted(found, key=lambda row: (row["seed"], row["label"]))]}
    with gzip.GzipFile(HERE / f"{name}.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(told, separators=(",", ":")).encode())
    print(f"{HERE / name}.json.gz: {len(bundles)} bundles, {len(found)} trainings, "
          f"{sum(row['seconds'] for row in found) / 3600:.1f} core hours")


if __name__ == "__main__":
    sys.exit(main())
