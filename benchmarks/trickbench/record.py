"""Record TrickBench: the learning curves of the same bundles of tricks on nine data sets.

    python benchmarks/trickbench/record.py --data FOLDER --work trickbench.jsonl       # hours; goes on where it was
    python benchmarks/trickbench/record.py --data FOLDER --work trickbench.jsonl --pack

`--pack` writes the tables beside this file. See `README.md` there.
"""
from __future__ import annotations

import argparse
import gzip
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import sets  # noqa: E402
from trainings import Store  # noqa: E402

import autotricks  # noqa: E402
from autotricks.core.bundle import Bundle  # noqa: E402
from trickbench.box_bundles import box_bundles  # noqa: E402
from trickbench.bundles import bundles  # noqa: E402


def bundles_of(name: str) -> dict[str, Bundle]:
    """Return the bundles that are trained on a set."""
    return box_bundles() if sets.has_boxes(name) else bundles()


def on(name: str, bundle: Bundle, seed: int) -> Bundle:
    """Return a bundle in the length of a set."""
    return replace(bundle.rescaled(sets.recipe_of(name).epochs), seed=seed)


def trained(job: tuple[str, Bundle, Path, Path]) -> None:
    """Train one bundle on one set, unless that is done."""
    name, bundle, folder, work = job
    Store(work).train(name, bundle, sets.dataset(name, folder))


def pack(name: str, folder: Path, work: Path, out: Path) -> str:
    """Write the table of one set."""
    rows = {(row["hash"]): row for row in Store(work).rows() if row["set"] == name}
    data, found = sets.dataset(name, folder), []
    for label, bundle in bundles_of(name).items():
        runs = [rows[on(name, bundle, seed).hash] for seed in range(100) if on(name, bundle, seed).hash in rows]
        found.append({"label": label, "tricks": on(name, bundle, 0).document()["tricks"], "runs": [
            {key: value for key, value in run.items() if key not in ("set", "hash")} for run in runs]})
    counts = data.train.targets.counts(len(data.classes))
    table = {"set": name, "recipe": asdict(sets.recipe_of(name)), "autotricks": autotricks.__version__,
             "facts": {"images": len(data.train), "classes": len(data.classes), "channels": data.image_shape[0],
                       "side": data.image_shape[1], "imbalance": round(float(counts.max() / counts.min()), 2),
                       "validation": len(data.validation), "test": len(data.test or ())},
             "bundles": found}
    with gzip.GzipFile(out / f"{name}.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(table, separators=(",", ":")).encode())
    return f"{name}: {len(found)} bundles, {sum(len(row['runs']) for row in found)} trainings"


def main() -> int:
    parser = argparse.ArgumentParser(description="Record the learning curves of the same bundles on nine data sets.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the files that sets.yaml names")
    parser.add_argument("--work", type=Path, default=Path("trickbench.jsonl"))
    every = [*sets.recipes(), *sets.recipes(sets.BOXES)]
    parser.add_argument("--sets", nargs="+", default=[*sets.recipes()], choices=every)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--pack", action="store_true", help="write the tables")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the tables (beside this file)")
    given = parser.parse_args()
    if given.pack:
        for name in given.sets:
            print(pack(name, given.data, given.work, given.out))
        return 0
    done: set[Any] = {(row["set"], row["hash"]) for row in Store(given.work).rows() if row["end"]}
    made = {name: bundles_of(name) for name in given.sets}
    places = range(max(map(len, made.values())))
    jobs = [(name, on(name, [*made[name].values()][place], seed), given.data, given.work) for seed in given.seeds
            for place in places for name in given.sets if place < len(made[name])]
    jobs = [job for job in jobs if (job[0], job[1].hash) not in done]
    print(f"{len(done)} trainings done, {len(jobs)} to go", flush=True)
    with ProcessPoolExecutor(given.parallel) as pool:
        for place, _ in enumerate(pool.map(trained, jobs)):
            if place % 100 == 0:
                print(f"{place + 1}/{len(jobs)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
