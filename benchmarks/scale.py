"""What a decision and a line of the ledger cost after 100, 1,000 and 10,000 trials, in processor time.

The trials are made up: picks drawn from the space that ships, scores at random, three of ten trained to the end. They
are what a search's chooser is told when it is resumed. `--unbounded` shows Optuna all of them, as a reference.
"""
from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

from autotricks.search import chooser as choosing
from autotricks.search.chooser import Chooser
from autotricks.search.ledger import Ledger, TrialRecord
from autotricks.space.load import load_space

SIZES, METRIC, DECISIONS = (100, 1_000, 10_000), "val/balanced_accuracy", 6


def made_up(count: int) -> list[TrialRecord]:
    """Return the records of trials that nobody trained."""
    chance, found = random.Random(0), []
    drawn = Chooser(load_space("long_tail.yaml").space, "random", 0, True, count)
    for number in range(count):
        bundle, picks = drawn.propose(number, number)
        budgets = (3, 9, 27) if chance.random() < 0.3 else (3,)
        rungs = [{"budget": budget, "metrics": {METRIC: chance.random()}} for budget in budgets]
        found.append(TrialRecord(number, "", bundle.document(), picks, bundle.hash, rungs,
                                 "finished" if len(budgets) == 3 else "stopped"))
        drawn.tell(number, None, False)
    return found


def milliseconds(call: Callable[[int], object], times: int) -> float:
    """Return the processor time of a call in milliseconds, over several."""
    began = time.process_time()
    for number in range(times):
        call(number)
    return 1000 * (time.process_time() - began) / times


def decision(sampler: str, past: list[TrialRecord]) -> float:
    chooser = Chooser(load_space("long_tail.yaml").space, sampler, 0, True, 2 * len(past))
    chooser.replay(past, METRIC)

    def decide(number: int) -> None:
        chooser.propose(len(past) + number, len(past) + number)
        chooser.report(len(past) + number, 3, 0.5)
        chooser.tell(len(past) + number, 0.5, False)
    return milliseconds(decide, DECISIONS)


def line(past: list[TrialRecord]) -> float:
    """Return the cost of the last tenth of as many lines as there are trials."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "trials.jsonl")

        def write(number: int) -> None:
            ledger.append("trial", trial=number, bundle=past[number].bundle, picks=past[number].picks)
        for number in range(len(past) * 9 // 10):
            write(number)
        cost = milliseconds(lambda number: write(len(past) * 9 // 10 + number), len(past) // 10)
        ledger.close()
    return cost


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--unbounded", action="store_true")
    options.add_argument("--most", type=int, default=SIZES[-1])
    asked = options.parse_args()
    if asked.unbounded:
        choosing.Memory = lambda maximize: optuna.storages.InMemoryStorage()
    sizes = [size for size in SIZES if size <= asked.most]
    trials = made_up(sizes[-1])
    for name in ("random", "tpe", "evolution"):
        costs = (f"{size}: {decision(name, trials[:size]):.1f} ms" for size in sizes)
        print(f"decision, {name:<9}", *costs, flush=True)
    print("line of the ledger ", *(f"{size}: {line(trials[:size]):.3f} ms" for size in sizes))
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")
