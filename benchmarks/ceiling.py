"""How much there is to find near the best start bundle: every single change of it, and pairs of the best changes.

    python benchmarks/ceiling.py --data FOLDER --work ceiling.jsonl --sets gtsrb trashnet   # goes on where it was

A change is a trick added at its usual values, a trick taken out, a rate or a decay moved, or any number of the bundle's
tricks moved to a quarter, the middle or three quarters of its domain. What is best is found by test accuracy, which no
search may do: all changes with two seeds, the better third with two more, the best eight with four more; then all pairs
of these eight alike, and the best pair with each of the other six. The best change, the best pair, and the best three
are judged with ten fresh seeds, as champions are.
"""
from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent))

from added_value import JUDGE, load
from stretches import Bench
from trainings import Store

from autotricks.core.bundle import Bundle, recipe
from autotricks.core.domain import Choice, Domain, Float, Int, Value, nearest
from autotricks.space.space import Space
from autotricks.stats.intervals import interval
from autotricks.tuning.features import Wish, wish_of
from autotricks.tuning.steps import Steps, changes

BEST = 8                    # changes of which pairs are made
SEEDS = range(3000, 3008)   # of the race
ROUNDS = ((2, 1.0), (4, 1 / 3), (8, None))     # seeds by then, share that is left (None: the best eight)
QUARTERS = (0.25, 0.5, 0.75)


def moves(space: Space, wish: Wish) -> Sequence[Wish]:
    """Return every number of a bundle's tricks at the quarters of its domain."""
    found: list[Wish] = []
    for entry in space.entries:
        for name, domain in entry.domains.items() if entry.name in wish else ():
            found += [{**wish, entry.name: {**wish[entry.name], name: value}} for value in _quarters(domain)]
    return found


def _quarters(domain: Domain) -> Sequence[Value]:
    if isinstance(domain, Choice):
        return domain.options
    assert isinstance(domain, (Float, Int))
    low, high = (math.log(end) if domain.log else end for end in (domain.low, domain.high))
    values = (low + part * (high - low) for part in QUARTERS)
    return [nearest(math.exp(value) if domain.log else value, domain) for value in values]


def merged(parent: Wish, left: Wish, right: Wish) -> Wish:
    """Return a bundle with what two others changed in their parent; where both did, what the left one did."""
    def one(before: Value | None, first: Value | None, second: Value | None) -> Value | None:
        return first if first != before else second

    found: dict[str, Mapping[str, Value]] = {}
    for name in {**parent, **left, **right}:
        before, first, second = (wish.get(name) for wish in (parent, left, right))
        if before and first and second:
            found[name] = {key: value for key in before
                           if (value := one(before[key], first.get(key), second.get(key))) is not None}
        else:
            taken = first if first != before else second
            if taken is not None:
                found[name] = taken
    return found


class Race:
    """Bundles of a set, trained with as many seeds as it takes to find the best on test.

    Args:
        bench: What trains.
        pool: Of processes.
    """

    def __init__(self, bench: Bench, pool: ProcessPoolExecutor):
        self._bench, self._pool = bench, pool

    def scores(self, bundles: Sequence[Bundle], seeds: Sequence[int]) -> list[list[float]]:
        """Return the test accuracy of bundles, [bundle][seed]."""
        jobs = [(self._bench, replace(bundle, seed=seed)) for bundle in bundles for seed in seeds]
        found = list(self._pool.map(_tested, jobs))
        return [found[place * len(seeds):(place + 1) * len(seeds)] for place in range(len(bundles))]

    def best(self, bundles: Sequence[Bundle]) -> list[Bundle]:
        """Return the best few, best first."""
        left = list(bundles)
        for seeds, share in ROUNDS:
            left = left[:BEST if share is None else max(BEST, round(share * len(bundles)))]
            means = [fmean(scores) for scores in self.scores(left, SEEDS[:seeds])]
            left = [left[place] for place in sorted(range(len(left)), key=lambda place: -means[place])]
        return left[:BEST]


def _tested(job: tuple[Bench, Bundle]) -> float:
    bench, bundle = job
    return bench.train(bundle)["test"] or 0.0


def look(bench: Bench, pool: ProcessPoolExecutor) -> str:
    """Return the row of a set."""
    loaded, race = load(bench, 0), Race(bench, pool)
    steps, rng = Steps(loaded.space), random.Random(0)
    start = list(loaded.start.values())
    means = [fmean(scores) for scores in race.scores(start, JUDGE)]
    best_start = start[means.index(max(means))]
    parent = wish_of(best_start)

    def legal(wishes: Sequence[Wish], known: Sequence[Bundle] = ()) -> list[Bundle]:
        bundles = [steps.legal(wish, rng) for wish in wishes]
        seen = {recipe(bundle) for bundle in (best_start, *known)}
        return list({recipe(bundle): bundle for bundle in bundles if recipe(bundle) not in seen}.values())

    singles = legal([*(step.wish for step in steps.singles(parent)), *moves(loaded.space, parent)])
    few = race.best(singles)
    pairs = legal([merged(parent, wish_of(left), wish_of(right)) for left, right in combinations(few, 2)], singles)
    two = race.best(pairs)
    threes = legal([merged(parent, wish_of(two[0]), wish_of(one)) for one in few], [*singles, *pairs])
    three = race.best(threes)
    found = []
    for bundles in (few, two, three):
        champion = bundles[0]
        judged, plain = race.scores([champion, best_start], JUDGE)
        gap = interval([100 * (ours - theirs) for ours, theirs in zip(judged, plain, strict=True)])
        told = ", ".join(changes(parent, wish_of(champion)))
        found.append(f"{gap.mean:+.1f} ({gap.low:+.1f} to {gap.high:+.1f}): {told}")
    return f"| {bench.name} | {100 * max(means):.1f} | {len(singles)} | " + " | ".join(found) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Look how much there is to find near the best start bundle.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("ceiling.jsonl"))
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--parallel", type=int, default=2)
    given = parser.parse_args()
    print("| set | best start | changes | best change | best pair | best three |")
    print("| --- | --- | --- | --- | --- | --- |")
    with ProcessPoolExecutor(given.parallel) as pool:
        for name in given.sets:
            print(look(Bench(name, given.data, Store(given.work)), pool), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
