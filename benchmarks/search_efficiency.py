"""Which policy finds a good bundle for the fewest epochs: search policies replayed on recorded learning curves.

`curves/record.py` trained many bundles in full and squeezed, several times each. A replay takes one seed's curves, puts
the bundles in a random order (or lets a model choose among them), and pays for each epoch that a policy trains, every
restart counted. Start bundles are left out, as one of them is published and good. A model's proposal is replaced by the
nearest bundle of the table that is left: what a table can say of models is limited, and the same for all of them.

Reported, over many shuffles: the true value (test score, mean over the seeds that the policy did not see) of the
bundle chosen after 4, 8 and 16 full trainings' worth of epochs; and the epochs spent until a bundle has been trained to
the end whose score is among the best twentieth, in full trainings, with the ratio of means to random search's.
Intervals are bootstrapped over shuffles.

    python benchmarks/search_efficiency.py digits_lt --models --json digits_lt.json
"""
from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from autotricks.search.rungs import Halving  # noqa: E402

HERE = Path(__file__).parent / "curves"
BUDGETS = (4, 8, 16)      # full trainings
MOST = 64                 # full trainings that a replay may spend
BEST = 0.95               # quantile of final scores that counts as found
OURS = ((2, 5), (6, 3), (5, 5), (3, 3))     # first rung and reduction of what our sampler is tried with


@dataclass(frozen=True)
class Table:
    """Curves of one seed, and what the bundles are truly worth; one row a bundle, NaN where training broke down.

    Args:
        labels: Names of the bundles.
        prefix: Score after each epoch of the whole training, [N, T].
        compressed: Score of the bundle squeezed into a budget, by budget, [N].
        true: Test score over the other seeds, [N].
        picks: What draws each bundle from its space; None where the space does not hold it.
        opens: The fraction of training at which the last trick opens, [N].
        trunks: For each bundle, the parts of training that it shares with whoever has the same key: (fraction, key).
    """

    labels: list[str]
    prefix: np.ndarray
    compressed: dict[int, np.ndarray]
    true: np.ndarray
    picks: list[dict[str, Any] | None]
    opens: np.ndarray
    trunks: list[list[tuple[float, str]]]

    @property
    def epochs(self) -> int:
        """Epochs of a full training."""
        return self.prefix.shape[1]

    @property
    def final(self) -> np.ndarray:
        """Score of each bundle after its full training, [N]."""
        return self.prefix[:, -1]


@cache
def table(name: str, seed: int) -> Table:
    """Return the recorded table of one seed."""
    from autotricks.catalog import bundle_from, plan_of

    told = json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))
    labels = [label for label in told["bundles"] if label.startswith(("few-", "even-"))]
    rows = {(row["label"], row["seed"]): row for row in told["rows"]}
    epochs, seeds = told["epochs"], sorted({row["seed"] for row in told["rows"]})
    prefix = np.full((len(labels), epochs), np.nan)
    for place, label in enumerate(labels):
        curve = rows[label, seed]["prefix"]
        prefix[place, :len(curve)] = [math.nan if value is None else value for value in curve]
        if rows[label, seed]["end"] != "finished":
            prefix[place, len(curve) - 1:] = np.nan
    budgets = [int(budget) for budget in told["recipe"]["budgets"]]
    compressed = {budget: np.array([number(rows[label, seed]["compressed"][str(budget)][0]) for label in labels])
                  for budget in budgets}
    others = [other for other in seeds if other != seed]
    true = np.array([np.mean([number(rows[label, other]["test"], 0.0) for other in others]) for label in labels])
    plans = [plan_of(bundle_from({"tricks": told["bundles"][label]["tricks"], "training": {"epochs": epochs}}))
             for label in labels]
    return Table(labels, prefix, compressed, true, [told["bundles"][label]["picks"] for label in labels],
                 np.array([max((use.window.start for use in plan.active), default=0.0) for plan in plans]),
                 [trunks(plan) for plan in plans])


def number(value: float | None, otherwise: float = math.nan) -> float:
    return otherwise if value is None else value


def trunks(plan: Any) -> list[tuple[float, str]]:
    """Return at each window's edge what training depends on up to there: tricks built once, and the phases so far."""
    once = sorted(repr(use) for use in plan.once)
    done: list[str] = []
    found = []
    for phase in plan.phases:
        done.append(f"{phase.start}-{phase.stop}:{sorted(repr(use.trick) for use in phase.uses)}")
        found.append((phase.stop, repr((once, done))))
    return found


@dataclass
class Spent:
    """The epochs that a policy has spent, the bundles that it has trained to the end, and its best guess."""

    table: Table
    epochs: float = 0.0
    found: float | None = None
    best: tuple[int, float, int] | None = None      # fidelity, score, row
    chosen: dict[int, float] | None = None

    def __post_init__(self) -> None:
        self.chosen, self.goal = {}, float(np.nanquantile(self.table.final, BEST))

    @property
    def over(self) -> bool:
        """Whether nothing is left to spend, or nothing more is asked."""
        return self.epochs >= (MOST if self.found is None else BUDGETS[-1] + 1) * self.table.epochs

    def pay(self, epochs: float) -> None:
        """Spend epochs; what the best guess was before is the choice at each budget passed."""
        before, self.epochs = self.epochs, self.epochs + epochs
        for budget in BUDGETS:
            if before <= budget * self.table.epochs < self.epochs:
                self.chosen[budget] = self._worth()

    def hear(self, row: int, fidelity: int, score: float) -> None:
        """Take in a score; `fidelity` is in epochs, the last means trained to the end."""
        if math.isnan(score):
            return
        if self.best is None or (fidelity, score) > self.best[:2]:
            self.best = (fidelity, score, row)
        if fidelity == self.table.epochs and score >= self.goal and self.found is None:
            self.found = self.epochs / self.table.epochs

    def _worth(self) -> float:
        return float(self.table.true[self.best[2]]) if self.best else 0.0

    def result(self) -> dict[str, Any]:
        """Return when the goal was reached, and what was chosen at each budget."""
        chosen = {str(budget): self.chosen.get(budget, self._worth()) for budget in BUDGETS}
        return {"found": self.found, "chosen": chosen}


Order = Iterator[int]
Policy = Callable[[Table, random.Random], dict[str, Any]]


def shuffled(table: Table, chance: random.Random) -> list[int]:
    return chance.sample(range(len(table.labels)), len(table.labels))


def at_random(table: Table, chance: random.Random) -> dict[str, Any]:
    """Train each bundle to the end."""
    spent = Spent(table)
    for row in shuffled(table, chance):
        if spent.over:
            break
        spent.pay(table.epochs)
        spent.hear(row, table.epochs, table.final[row])
    return spent.result()


def screened(first: int, keep: int = 3, compressed: bool = False) -> Policy:
    """Train all for `first` epochs, then the best `keep` to the end; how many all are is settled by the budget."""
    def run(table: Table, chance: random.Random) -> dict[str, Any]:
        order, chosen, found = shuffled(table, chance), {}, None
        scores = table.compressed[first] if compressed else table.prefix[:, first - 1]
        rest = table.epochs if compressed else table.epochs - first
        goal = float(np.nanquantile(table.final, BEST))
        for count in range(keep, len(order) + 1):
            cost = (count * first + keep * rest) / table.epochs
            if cost > MOST:
                break
            tried = sorted(order[:count], key=lambda row: -np.nan_to_num(scores[row], nan=-1.0))[:keep]
            ends = np.nan_to_num(table.final[tried], nan=-1.0)
            for budget in BUDGETS:
                if cost <= budget:
                    chosen[str(budget)] = float(table.true[tried[int(ends.argmax())]])
            if found is None and ends.max() >= goal:
                found = cost
        return {"found": found, "chosen": {str(budget): chosen.get(str(budget), 0.0) for budget in BUDGETS}}
    return run


def halving(rungs: tuple[int, ...], reduction: int, fidelity: str,
            proposing: Callable[[Table, random.Random], Any] | None = None) -> Policy:
    """Stop a trial at a rung unless it is among the best 1/reduction so far.

    `shared` trains common trunks once; `cohorts` compares bundles with a trick that has still to open among themselves.
    """
    def run(table: Table, chance: random.Random) -> dict[str, Any]:
        spent, rule = Spent(table), Halving(reduction, len(rungs) + 1)
        steps, known = [*rungs, table.epochs], set[str]()
        proposer = proposing(table, chance) if proposing else None
        order = iter(shuffled(table, chance))
        while not spent.over:
            row = proposer.propose() if proposer else next(order, None)
            if row is None:
                break
            scores, before, ended = [], 0.0, False
            for rung, budget in enumerate(steps):
                if fidelity == "compressed":
                    spent.pay(budget)
                    score = table.compressed[budget][row] if budget < table.epochs else table.final[row]
                else:
                    begun = max(before, shared(table, row, known) if fidelity == "shared" else 0.0)
                    spent.pay(max(0.0, budget - begun))
                    before, score = budget, table.prefix[row, budget - 1]
                    remember(table, row, budget, known)
                scores.append((budget, score))
                spent.hear(row, budget, score)
                waits = fidelity == "cohorts" and bool(table.opens[row] * table.epochs >= budget)
                if math.isnan(score) or not rule.keeps(rung, score, waits):
                    break
            else:
                ended = True
            if proposer:
                proposer.tell(row, scores, ended)
        return spent.result()
    return run


def shared(table: Table, row: int, known: set[str]) -> float:
    """Return the epochs of a bundle that another has trained already."""
    return max((part * table.epochs for part, key in table.trunks[row] if key in known), default=0.0)


def remember(table: Table, row: int, epochs: float, known: set[str]) -> None:
    known.update(key for part, key in table.trunks[row] if part < 1 and part * table.epochs <= epochs)


class Proposer:
    """Lets a sampler propose over the space, and takes the nearest bundle of the table that is left."""

    def __init__(self, name: str, sampler: str, table: Table, chance: random.Random):
        from autotricks.search.chooser import Chooser

        self.chooser = Chooser(space_of(name), sampler, chance.randrange(2**31), True, 10**6)
        self.table, self.left, self.number = table, set(range(len(table.labels))), 0

    def propose(self) -> int | None:
        """Return the row nearest to what the sampler proposes."""
        if not self.left:
            return None
        _, picks = self.chooser.propose(self.number, self.number) or (None, {})
        self._forget(self.number)
        row = min(sorted(self.left), key=lambda row: distance(self.table.picks[row] or {}, picks))
        self.left.discard(row)
        return row

    def _forget(self, number: int) -> None:
        """Take a proposal back that the table does not hold."""
        from optuna.trial import TrialState

        self.chooser.study.tell(self.chooser._open.pop(number), state=TrialState.FAIL)
        self.chooser._scores.pop(number)

    def tell(self, row: int, scores: list[tuple[int, float]], ended: bool) -> None:
        """Let the sampler learn what became of a row."""
        picks = self.table.picks[row]
        if picks:
            self.chooser.study.enqueue_trial(picks)
            sampler, self.chooser._sampler = self.chooser._sampler, "random"    # nothing is to be decided
            self.chooser._ask(self.number)
            self.chooser._sampler = sampler
            known = [(budget, score) for budget, score in scores if not math.isnan(score)]
            for budget, score in known:
                self.chooser.report(self.number, budget, score)
            self.chooser.tell(self.number, known[-1][1] if known else None, ended)
        self.number += 1


@cache
def space_of(name: str) -> Any:
    from autotricks.space.load import load_space

    told = json.loads(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))["recipe"]
    return load_space(told["space"], [text for text in told["overrides"] if not text.startswith("data.")]).space


def distance(left: dict[str, Any], right: dict[str, Any]) -> float:
    """Return how many choices differ; numbers count by the share in which they do."""
    total = 0.0
    for name in left.keys() | right.keys():
        one, other = left.get(name), right.get(name)
        if isinstance(one, float) and isinstance(other, float):
            total += abs(one - other) / max(abs(one), abs(other), 1e-12) / 2
        elif one != other:
            total += 1
    return total


def median_pruned(name: str) -> Policy:
    """Optuna's TPE, its settings untouched, with its MedianPruner hearing every epoch."""
    def run(table: Table, chance: random.Random) -> dict[str, Any]:
        import optuna

        proposer, spent = Proposer(name, "tpe", table, chance), Spent(table)
        pruner, sampler = optuna.pruners.MedianPruner(), optuna.samplers.TPESampler(seed=chance.randrange(2**31))
        proposer.chooser._seeded = lambda number: sampler  # type: ignore[method-assign]
        study = proposer.chooser.study
        while not spent.over and (row := proposer.propose()) is not None:
            study.enqueue_trial(proposer.table.picks[row] or {})
            proposer.chooser._ask(proposer.number)
            trial, pruned, last = proposer.chooser._open.pop(proposer.number), False, math.nan
            for epoch in range(1, table.epochs + 1):
                spent.pay(1)
                score = table.prefix[row, epoch - 1]
                if math.isnan(score):
                    pruned = True
                    break
                trial.report(score, epoch)
                spent.hear(row, epoch, score)
                last = score
                if epoch < table.epochs and pruner.prune(study, study._storage.get_trial(trial._trial_id)):
                    pruned = True
                    break
            study.tell(trial, None if pruned else last,
                       state=optuna.trial.TrialState.PRUNED if pruned else optuna.trial.TrialState.COMPLETE)
            proposer.number += 1
        return spent.result()
    return run


def policies(name: str, table: Table) -> dict[str, Policy]:
    """Return what is compared, by name."""
    def rungs(first: int, reduction: int) -> tuple[int, ...]:
        found: list[int] = []
        budget = table.epochs
        while round(budget / reduction) >= first:
            budget = round(budget / reduction)
            found.insert(0, budget)
        return tuple(found)

    def by(sampler: str) -> Callable[[Table, random.Random], Proposer]:
        return lambda table, chance: Proposer(name, sampler, table, chance)
    squeezed = sorted(table.compressed)
    stock = tuple(4 ** power for power in range(4) if 4 ** power < table.epochs)
    found: dict[str, Policy] = {
        "random": at_random, "1 epoch, best 3": screened(1), "3 epochs, best 3": screened(3),
        "3 squeezed, best 3": screened(3, compressed=True),
        "Ray ASHA 1/4/16": halving(stock, 4, "prefix"),
        "Ray ASHA 1/4/16, TPE": halving(stock, 4, "prefix", by("tpe")),
        "TPE, MedianPruner": median_pruned(name)}
    for first, reduction in ((2, 5), (3, 3), (4, 3), (6, 3), (10, 5), (9, 3), (5, 5), (17, 3), (25, 2)):
        steps = rungs(first, reduction)
        if steps and steps[0] == first:
            shown = "/".join(str(step) for step in steps)
            found[f"prefix {shown}"] = halving(steps, reduction, "prefix")
            found[f"shared {shown}"] = halving(steps, reduction, "shared")
            found[f"cohorts {shown}"] = halving(steps, reduction, "cohorts")
            if (first, reduction) in OURS:
                found[f"cohorts {shown}, evolution"] = halving(steps, reduction, "cohorts", by("evolution"))
            if set(steps) <= set(squeezed):
                found[f"compressed {shown}"] = halving(steps, reduction, "compressed")
                if (first, reduction) in OURS:
                    found[f"compressed {shown}, evolution"] = halving(steps, reduction, "compressed", by("evolution"))
    return found


def replay(job: tuple[str, str, int, int]) -> dict[str, Any]:
    """Run one policy on one shuffle; the table's seed takes turns."""
    import warnings

    warnings.simplefilter("ignore")
    name, policy, shuffle, seeds = job
    data = table(name, shuffle % seeds)
    return {"policy": policy, **policies(name, data)[policy](data, random.Random(f"{name}/{shuffle}"))}


def interval(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """Return a statistic of the first axis and its 95% interval, bootstrapped."""
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile([statistic(values[draw]) for draw in draws], (0.025, 0.975))
    return float(statistic(values)), float(low), float(high)


def survival(data: Table, scores: np.ndarray, reduction: int, waits: np.ndarray) -> tuple[float, float, int, int]:
    """Return which share of the best tenth a first cut keeps: of deferred bundles, of immediate ones, and how many.

    Those for which `waits` holds are cut among themselves.
    """
    scores, kept = np.nan_to_num(scores, nan=-1.0), np.zeros(len(scores), bool)
    for apart in (waits, ~waits):
        if apart.any():
            kept[apart] = scores[apart] >= np.quantile(scores[apart], 1 - 1 / reduction)
    truly = np.argsort(-np.nan_to_num(data.final, nan=-1.0))[:max(1, len(data.labels) // 10)]
    kept, late = kept[truly], data.opens[truly] > 0
    share = [float(kept[mask].mean()) if mask.any() else math.nan for mask in (late, ~late)]
    return share[0], share[1], int(late.sum()), int((~late).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare search policies on recorded learning curves.")
    parser.add_argument("name", help="a table of curves/, such as digits_lt")
    parser.add_argument("--shuffles", type=int, default=400)
    parser.add_argument("--only", nargs="+", help="policies whose name begins so")
    parser.add_argument("--models", action="store_true", help="policies with a model too, which take a second each")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    data = table(given.name, 0)
    seeds = 1 + max(row["seed"] for row in json.loads(gzip.decompress(
        (HERE / f"{given.name}.json.gz").read_bytes()))["rows"])
    wanted = [policy for policy in policies(given.name, data)
              if (given.models or not any(word in policy for word in ("TPE", "evolution")))
              and (not given.only or policy == "random" or policy.startswith(tuple(given.only)))]
    jobs = [(given.name, policy, shuffle, seeds) for policy in wanted for shuffle in range(given.shuffles)]
    with ProcessPoolExecutor(given.parallel) as pool:
        results = list(pool.map(replay, jobs, chunksize=20))
    found = {policy: [row for row in results if row["policy"] == policy] for policy in wanted}
    print(f"{given.name}: {len(data.labels)} bundles, {data.epochs} epochs, {seeds} seeds, {given.shuffles} shuffles; "
          f"best true value {data.true.max():.4f}, median {np.median(data.true):.4f}\n")
    print(f"{'policy':34} {'true value of the choice after':^44} to the best {1 - BEST:.0%}  of random's")
    print(f"{'':34} " + " ".join(f"{budget:>6d} trainings" for budget in BUDGETS) + "   median   mean (95% interval)")
    shown = []
    base = times(found["random"])
    for policy in wanted:
        values = {budget: interval(np.array([row["chosen"][str(budget)] for row in found[policy]]), np.mean)
                  for budget in BUDGETS}
        own = times(found[policy])
        both = np.stack([own, base], 1)
        ratio = interval(both, lambda pair: pair[:, 0].mean() / pair[:, 1].mean())
        shown.append({"policy": policy, "true": values, "median": float(np.median(own)),
                      "never": float(np.mean([row["found"] is None for row in found[policy]])), "ratio": ratio})
        print(f"{policy:34} " + " ".join(f"{values[b][0]:.4f} +-{(values[b][2] - values[b][1]) / 2:.4f}"
                                         for b in BUDGETS)
              + f"  {np.median(own):6.1f}   {ratio[0]:.2f} ({ratio[1]:.2f}-{ratio[2]:.2f})"
              + (f"  never {shown[-1]['never']:.0%}" if shown[-1]["never"] else ""))
    print(f"\nOf the best tenth, share kept by a first cut: deferred and immediate ({given.name}, all seeds)")
    cuts = []
    for kind, budget, reduction in [(k, b, r) for k in ("prefix", "cohorts") for b, r in ((3, 3), (6, 3), (10, 5))] + [
            ("compressed", b, 3) for b in sorted(data.compressed)] + [("compressed", b, 5) for b in sorted(
                data.compressed) if b in (2, 5, 10)]:
        tables = [table(given.name, seed) for seed in range(seeds)]
        rows = [survival(one, one.compressed[budget] if kind == "compressed" else one.prefix[:, budget - 1], reduction,
                         (one.opens * one.epochs >= budget) & (kind == "cohorts")) for one in tables]
        late, soon = (np.nansum([row[place] * row[place + 2] for row in rows]) / max(1, sum(
            row[place + 2] for row in rows)) for place in (0, 1))
        cuts.append({"kind": kind, "budget": budget, "reduction": reduction, "deferred": late, "immediate": soon,
                     "of": [sum(row[2] for row in rows), sum(row[3] for row in rows)]})
        print(f"  {kind} {budget}, best 1/{reduction}: {late:.2f} of {cuts[-1]['of'][0]}, {soon:.2f} of "
              f"{cuts[-1]['of'][1]}")
    if given.json:
        given.json.write_text(json.dumps({"table": given.name, "shuffles": given.shuffles, "policies": shown,
                                          "cuts": cuts}, indent=1) + "\n", encoding="utf-8")
    return 0


def times(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the full trainings until found; where it was not, all that might be spent, which flatters."""
    return np.array([MOST if row["found"] is None else row["found"] for row in rows])


if __name__ == "__main__":
    sys.exit(main())
