"""What intervals over folds and over seeds cover, against the spread over random splits.

    python benchmarks/fold_intervals.py run --data DATA [--sets trashnet sign_digits elpv]
    python benchmarks/fold_intervals.py table

The baseline and the published bundle of long_tail.yaml are trained on sets of `sets.yaml` for half of their epochs:

splits: on 30 random splits of all images into train, validation and test, one training each; the mean of the
    differences on test is what both kinds of interval are held against.
seeds:  on the first three of these splits, as `confirm: {seeds: 5}` trains: five seeds, one split.
folds:  on the same, as `confirm: {folds: 5}` trains: five folds of train and validation, a seed each, the same test.

Every training is a JSON line of benchmarks/results/fold_intervals.jsonl; what is there is not trained again. All of it
takes about a quarter of an hour of one core. DATA holds the files that `sets.yaml` names.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

sys.path.insert(0, str(Path(__file__).parents[1]))

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Fold
from autotricks.data.folds import with_folds
from autotricks.data.splits import hold_out
from autotricks.stats.intervals import Interval, interval, paired
from benchmarks import sets
from benchmarks.trainings import Store

RESULTS = Path(__file__).with_name("results") / "fold_intervals.jsonl"
SETS = ("trashnet", "sign_digits", "elpv")
GOOD = "mixup_balanced_softmax"
SPLITS = 30             # random splits, whose mean is what intervals should hold
STUDIED = 3             # of them, on which intervals are taken
COUNT = 5               # seeds, and folds
APART = 1000            # between the seeds of one split


def resplit(data: Dataset, seed: int) -> Dataset:
    """Return all images of a set in a stratified random split; parts are as large as they were, test included."""
    assert data.test is not None
    pool = data.train.followed(data.validation).followed(data.test)
    labels = pool.targets.single
    stay, test = hold_out(labels, len(data.test) / len(pool), seed)
    left, held = hold_out(labels[stay], len(data.validation) / len(stay), seed)
    return replace(data, train=pool.take(stay[left]), validation=pool.take(stay[held]), test=pool.take(test),
                   fingerprint=f"{data.fingerprint} {seed}")


class Study:
    """The trainings of one set.

    Args:
        name: Of the set.
        folder: With the files of sets.
        store: Keeps trainings.
    """

    def __init__(self, name: str, folder: Path, store: Store):
        self.name = name
        self.data = sets.dataset(name, folder)
        self.bundles = contrasted(name, folder)
        self.store = store

    def run(self) -> None:
        """Train what is missing."""
        for split in range(SPLITS):
            data = resplit(self.data, split)
            self._both(place(self.name, split), data, split)
            if split < STUDIED:
                in_folds = with_folds(data, COUNT, split)
                for number in range(COUNT):
                    self._both(place(self.name, split), data, split + APART * number)
                    self._both(place(self.name, split, number), in_folds.folded(Fold(number, COUNT)),
                               split + APART * number)

    def _both(self, where: str, data: Dataset, seed: int) -> None:
        for bundle in self.bundles:
            row = self.store.train(where, replace(bundle, seed=seed), data)
            print(where, bundle.hash, seed, row["test"], row["seconds"], flush=True)


def contrasted(name: str, folder: Path) -> tuple[Bundle, Bundle]:
    """Return the baseline and the published bundle, at half of the set's epochs."""
    start = sets.load(name, folder, [f"training.epochs={(sets.recipes()[name].epochs + 1) // 2}"]).start
    return start["baseline"], start[GOOD]


def place(name: str, split: int, fold: int | None = None) -> str:
    """Return under which name trainings of a split, or of one of its folds, are kept."""
    return f"{name} split {split}" + ("" if fold is None else f" fold {fold}")


def differences(store: Store, bundles: Sequence[Bundle], wheres: Sequence[tuple[str, int]]) -> list[float]:
    """Return the good bundle's balanced accuracy on test less the baseline's, in points, for places and seeds."""
    found = []
    for where, seed in wheres:
        base, good = (store.find(where, replace(bundle, seed=seed).hash) for bundle in bundles)
        if base is None or good is None:
            raise SystemExit(f"{where}, seed {seed}: not trained yet; give the command run again.")
        found.append(100 * (good["test"] - base["test"]))
    return found


def table(names: Sequence[str], folder: Path, store: Store) -> None:
    """Print the intervals of each set beside the mean over random splits, and how many hold it."""
    held: dict[str, list[bool]] = {"seeds": [], "folds, uncorrected": [], "folds": []}
    widths: dict[str, list[float]] = {kind: [] for kind in held}
    deviations: dict[str, list[float]] = {"seeds": [], "folds": [], "splits": []}
    print("| set | 30 splits: mean, deviation | split | 5 seeds | 5 folds, uncorrected | 5 folds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        bundles = contrasted(name, folder)
        spread = differences(store, bundles, [(place(name, split), split) for split in range(SPLITS)])
        truth = fmean(spread)
        deviations["splits"].append(stdev(spread))
        for split in range(STUDIED):
            seeds = [split + APART * number for number in range(COUNT)]
            over_seeds = differences(store, bundles, [(place(name, split), seed) for seed in seeds])
            over_folds = differences(store, bundles, [(place(name, split, number), seed)
                                                      for number, seed in enumerate(seeds)])
            found = {"seeds": interval(over_seeds), "folds, uncorrected": interval(over_folds),
                     "folds": paired(1, over_folds, [0.0] * COUNT, folds=COUNT)}
            deviations["seeds"].append(stdev(over_seeds))
            deviations["folds"].append(stdev(over_folds))
            for kind, each in found.items():
                held[kind].append(each.low <= truth <= each.high)
                widths[kind].append(each.high - each.low)
            first = (name, f"{truth:+.1f}, {stdev(spread):.1f}") if split == 0 else ("", "")
            print("| " + " | ".join([*first, str(split), *(told(each, truth) for each in found.values())]) + " |")
    print("| hold the mean over splits | | | " + " | ".join(f"{sum(each)} of {len(each)}" for each in held.values())
          + " |")
    print("| width, mean | | | " + " | ".join(f"{fmean(each):.1f}" for each in widths.values()) + " |")
    print("\nDeviation of a difference of single trainings, root mean square: " + ", ".join(
        f"over {kind} {fmean(each ** 2 for each in found) ** 0.5:.1f}" for kind, found in deviations.items()) + ".")


def told(each: Interval, truth: float) -> str:
    """Return an interval in points; one that does not hold the truth is marked."""
    mark = "" if each.low <= truth <= each.high else " *"
    return f"{each.mean:+.1f} ({each.low:+.1f} to {each.high:+.1f}){mark}"


def main() -> None:
    """Train, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="SET")
    parser.add_argument("--work", type=Path, default=RESULTS)
    given = parser.parse_args()
    store = Store(given.work)
    if given.what == "table":
        table(given.sets, given.data, store)
        return
    for name in given.sets:
        Study(name, given.data, store).run()


if __name__ == "__main__":
    main()
