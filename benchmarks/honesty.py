"""Does the answer of a search stand? Studies of confirmation and ablation on digits whose truth is known.

    nothing: searches of a space in which nothing helps. Some of its tricks do nothing but draw random numbers, which
        makes every training another roll of the dice, some do nothing at all, two do harm. The verdict must be "no
        evidence of improvement" in 19 of 20. Each search has its own split and seeds.
    objects: the same for objects with boxes, on scenes of digits: six trials of three epochs, ten searches, each with
        scenes of its own, confirmed as `detection.yaml` is: one bundle, three seeds. The verdict must be "no
        evidence of improvement" in 9 of 10.
    planted: searches of a space with one trick that helps: logit adjustment of a strength that was chosen to bring
        about 5 points on this long tail. It must be found (the verdict is "better") and attributed (in the ablation
        its interval lies above zero, and no other trick's does) in 18 of 20. Its true size is measured apart, with
        seeds of its own, on every split.
    coverage: the trick that helps against the baseline, 100 seeds each: the mean difference on test is taken for the
        truth. The 95% interval of 5 seeds drawn from the 100 must hold it in 90% to 99% of 200 draws.
    choosing: does choosing the best of three on validation spoil the interval on test? Bundles that differ from the
        baseline by dice alone, 100 seeds each; 5 seeds are drawn, and the bundles chosen among and judged as
        confirmation does it.

The searches run by `autotricks search` and `autotricks ablate`. What is done is not done again.

    python benchmarks/honesty.py                      # all of them, about two hours on two cores
"""
from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
import yaml
from safetensors.torch import load as load_weights

from autotricks.core.bundle import Bundle
from autotricks.data import Loaded, load as load_data
from autotricks.export import weights_of
from autotricks.inference.predictor import Predictor
from autotricks.runs.champion import bundle_document
from autotricks.space import load_space
from autotricks.stats.intervals import interval
from autotricks.stats.spread import SeedStatistics
from autotricks.stats.verdict import verdict
from autotricks.trainer.evaluate import measured
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from autotricks.workflows.confirm import FRESH, best

PLAIN: dict[str, dict[str, Any]] = {"sgd": {"lr": 0.1, "nesterov": True}, "cosine": {}}
DICE: dict[str, dict[str, Any]] = {      # these draw random numbers and change nothing, or next to nothing
    "crop": {"padding": 0}, "random_affine": {"degrees": 0.0, "scale": 0.0, "shift": 0.0},
    "random_erasing": {"probability": 0.0},
    "color_jitter": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}}
IDLE: dict[str, dict[str, Any]] = {"label_smoothing": {"epsilon": 0.0}, "flooding": {"level": 0.0},
                                   "gradient_clipping": {"max_norm": 1e6}}
HARM: dict[str, dict[str, Any]] = {"grid_shuffle": {"grid": 4, "probability": 0.3}, "quarter_turns": {}}
OBJECTS: dict[str, dict[str, Any]] = {      # as above, of boxes
    "crop": {"padding": 0}, "random_affine": {"degrees": 0.0, "scale": 0.0, "shift": 0.0},
    "color_jitter": {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
    "flooding": {"level": 0.0}, "quarter_turns": {}}
PLAIN_OBJECTS: dict[str, dict[str, Any]] = {"adamw": {"lr": 0.01}, "cosine": {}, "gradient_clipping": {}}
ROLLS = ("crop", "random_affine", "random_erasing")
HELP: dict[str, dict[str, Any]] = {"logit_adjustment": {"tau": 0.4}}
BETTER, OTHERS = "better than the baseline", 5000   # the verdict; first of the seeds that measure what is true
MANY = 20_000                                       # draws that tell a rate without the luck of 200


@dataclass(frozen=True)
class Size:
    """How much is done: searches, trials of each, epochs of a training, fresh seeds, and seeds for the truth."""

    searches: int = 20
    trials: int = 24
    epochs: int = 10
    seeds: int = 5
    truth: int = 100
    draws: int = 200


QUICK = Size(searches=2, trials=4, epochs=2, seeds=2, truth=10, draws=20)


def space(name: str, tricks: dict[str, dict[str, Any]], size: Size, split: int) -> dict[str, Any]:
    """Return a space file whose tricks may be there or not, with values that are fixed."""
    return {"name": name, "data": {"source": "digits", "imbalance": {"factor": 50}, "seed": split},
            "model": {"name": "resnet8"}, "training": {"epochs": size.epochs, "batch_size": 64},
            "search": {"trials": size.trials, "engine": "local", "parallel": 2, "seed": split,
                       "rungs": {"first": max(1, size.epochs // 2), "reduction": 2}},
            "confirm": {"top": 3, "seeds": size.seeds}, "advice": "ignore",
            "tricks": {**PLAIN, "cosine": {"always": True}, **tricks}}


def autotricks(*words: str) -> None:
    """Run a command of autotricks; its words are shown where it fails."""
    ended = subprocess.run([sys.executable, "-m", "autotricks", *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"autotricks {' '.join(words)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")


def searched(document: dict[str, Any], home: Path) -> Path:
    """Return the folder of a search that is confirmed; one that was interrupted, or had fewer trials, goes on."""
    home.mkdir(parents=True, exist_ok=True)
    wanted = document["search"]["trials"]
    for file in home.glob("*/space.yaml"):
        trials = yaml.safe_load(file.read_text(encoding="utf-8"))["search"]["trials"]
        if trials < wanted or not (file.parent / "confirm.json").exists():
            autotricks("search", "--resume", str(file.parent), "--tracking", "off", "--trials", str(wanted))
    if not any(home.glob("*/confirm.json")):
        shutil.rmtree(home)
        home.mkdir()
        (home / "space.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        autotricks("search", "--space", str(home / "space.yaml"), "--root", str(home), "--tracking", "off")
    return next(home.glob("*/confirm.json")).parent


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def told(run: Path, number: int) -> dict[str, Any]:
    """Return what a search said in one row."""
    found, champion = read(run / "confirm.json"), yaml.safe_load((run / "champion.yaml").read_text(encoding="utf-8"))
    return {"search": number, "verdict": found["verdict"], "trial": found["champion"],
            "tricks": sorted(set(champion["tricks"]) - {*PLAIN, *PLAIN_OBJECTS}), "optimism": found["optimism"],
            **{name: found["difference"][name] for name in ("mean", "low", "high")}}


def nothing(out: Path, size: Size) -> dict[str, Any]:
    """Search where nothing helps."""
    rows = []
    for number in range(size.searches):
        document = space("nothing", {**DICE, **IDLE, **HARM}, size, number)
        rows.append(told(searched(document, out / "nothing" / f"{number:03}"), number))
        print(show(rows[-1]), flush=True)
    right = sum(row["verdict"].startswith("no evidence") for row in rows)
    same = sum(row["low"] == row["high"] for row in rows)
    return {"criterion": "no evidence of improvement in 19 of 20", "right": right, "of": len(rows),
            "met": right >= 0.95 * len(rows), "rows": rows, "said": f"in {same} the champion's weights are the "
            f"baseline's; differences of the rest {min(row['mean'] for row in rows):+.4f} to "
            f"{max(row['mean'] for row in rows):+.4f}"}


def objects(out: Path, size: Size) -> dict[str, Any]:
    """Search for better detectors where nothing helps."""
    rows = []
    count = max(2, size.searches // 2)
    epochs = min(3, size.epochs)
    for number in range(count):
        document = space("objects", OBJECTS, replace(size, trials=min(6, size.trials), epochs=epochs), number)
        document |= {"data": {"source": "digit_scenes", "task": "detection", "seed": number},
                     "model": {"name": "fcos:resnet8"}, "training": {"epochs": epochs, "batch_size": 8},
                     "confirm": {"top": 1, "seeds": min(3, size.seeds)}}
        document["tricks"] = {**PLAIN_OBJECTS, "cosine": {"always": True}, "gradient_clipping": {"always": True},
                              **OBJECTS}
        rows.append(told(searched(document, out / "objects" / f"{number:03}"), number))
        print(show(rows[-1]), flush=True)
    right = sum(row["verdict"].startswith("no evidence") for row in rows)
    return {"criterion": "no evidence of improvement in 9 of 10", "right": right, "of": len(rows),
            "met": right >= 0.9 * len(rows), "rows": rows, "said": f"differences "
            f"{min(row['mean'] for row in rows):+.4f} to {max(row['mean'] for row in rows):+.4f}"}


def planted(out: Path, size: Size) -> dict[str, Any]:
    """Search where one trick helps, and ablate what was found."""
    (trick, _), rows = *HELP.items(), []
    for number in range(size.searches):
        document = space("planted", {**HELP, **DICE, **IDLE, **HARM}, size, number)
        run = searched(document, out / "planted" / f"{number:03}")
        row = told(run, number)
        ablated = read(run / "ablation.json")["trial"] if (run / "ablation.json").exists() else None
        if row["tricks"] and ablated != row["trial"]:
            autotricks("ablate", str(run))
        effects = read(run / "ablation.json")["effects"] if row["tricks"] else []
        helps = sorted({one["trick"] for one in effects if one["low"] is not None and one["low"] > 0})
        rows.append({
            **row, "helps": helps, "found": row["verdict"] == BETTER, "attributed": helps == [trick], "effects": [
            {name: one[name] for name in ("trick", "kind", "mean", "low", "high")} for one in effects]})
        print(show(rows[-1]), f" helps: {', '.join(helps) or 'none'}", flush=True)
    right, truth = sum(row["found"] and row["attributed"] for row in rows), true_size(out, size)
    named = sum(trick in row["helps"] for row in rows)
    others = sum(bool(set(row["helps"]) - {trick}) for row in rows)
    return {"criterion": "found and attributed in 18 of 20", "right": right, "of": len(rows),
            "met": right >= 0.9 * len(rows), "true_size": truth, "rows": rows,
            "said": f"found in {sum(row['found'] for row in rows)}; {trick} said to help in {named}, anything else in "
                    f"{others}; its true size is {truth['mean']:+.4f} +- {truth['error']:.4f} ({truth['pairs']} pairs)"}


def true_size(out: Path, size: Size) -> dict[str, float]:
    """Return what the planted trick brings on test, from seeds of its own, as many on each search's split."""
    differences = []
    for number in range(size.searches):
        data = load_data(load_space(str(out / "planted" / f"{number:03}" / "space.yaml")).document.data.settings())
        seeds = range(OTHERS, OTHERS + max(1, size.truth // size.searches))
        rows = trained({"plain": PLAIN, "with it": {**PLAIN, **HELP}}, seeds, data, size,
                       out / "planted" / f"{number:03}" / "truth.jsonl")
        differences += [rows["with it", seed][1] - rows["plain", seed][1] for seed in seeds]
    return {"mean": fmean(differences), "deviation": stdev(differences), "pairs": len(differences),
            "error": stdev(differences) / math.sqrt(len(differences))}


def trained(bundles: dict[str, dict[str, dict[str, Any]]], seeds: Iterable[int], data: Loaded, size: Size,
            file: Path) -> dict[tuple[str, int], tuple[float, float]]:
    """Return balanced accuracy on validation and test of every bundle with every seed, trained in this process."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    known = {(name, seed): (validation, test) for name, seed, validation, test in lines}
    with file.open("a", encoding="utf-8") as stream:
        for name, seed in ((name, seed) for seed in seeds for name in bundles if (name, seed) not in known):
            bundle = Bundle(tuple(make(trick, values) for trick, values in bundles[name].items()), "resnet8",
                            epochs=size.epochs, batch_size=64, seed=seed)
            result = run_trial(bundle, data.dataset)
            weights = load_weights(weights_of(result.model))
            predictor = Predictor(bundle_document("study", {}, data, bundle, {}), weights)
            assert data.dataset.test is not None
            test = measured(predictor.logits, data.dataset.test, data.dataset)["balanced_accuracy"]
            known[name, seed] = result.metrics["val/balanced_accuracy"], test
            print(json.dumps([name, seed, *known[name, seed]]), file=stream, flush=True)
    return known


def coverage(out: Path, size: Size) -> dict[str, Any]:
    """Hold the interval of few seeds against the mean of many."""
    trick = next(iter(HELP))
    rows = many(out, size, [trick])
    differences = [rows[trick, seed][1] - rows["baseline", seed][1] for seed in _seeds(size)]
    truth, result = fmean(differences), {}
    for count in (3, size.seeds, 10):
        held = [one.low <= truth <= one.high for one in map(interval, draws(differences, count, MANY))]
        result[count] = {"right": sum(held[:size.draws]), "share_of_many": fmean(held)}
    share = result[size.seeds]["right"] / size.draws
    return {"criterion": "the interval holds the true mean in 90% to 99% of 200", "right": result[size.seeds]["right"],
            "of": size.draws, "met": 0.9 <= share <= 0.99, "true_mean": truth, "deviation": stdev(differences),
            "seeds": len(differences), "by_seeds": result, "said": f"true mean {truth:+.4f}, deviation "
            f"{stdev(differences):.4f}; of {MANY} draws of " + ", ".join(
                f"{count} seeds {found['share_of_many']:.1%}" for count, found in result.items())}


def draws(values: Sequence[Any], count: int, times: int) -> Iterator[list[Any]]:
    """Yield samples with repetition: independent draws from a population whose mean is known."""
    dice = random.Random(0)
    return (dice.choices(values, k=count) for _ in range(times))


def _seeds(size: Size) -> range:
    return range(FRESH, FRESH + size.truth)


def many(out: Path, size: Size, names: Iterable[str]) -> dict[tuple[str, int], tuple[float, float]]:
    """Return what many seeds make of the baseline and of it with one trick, on the split of the space that ships."""
    data = load_data(load_space("long_tail.yaml").document.data.settings())
    (out / "seeds").mkdir(parents=True, exist_ok=True)
    bundles = {"baseline": PLAIN, **{name: {**PLAIN, name: {**HELP, **DICE}[name]} for name in names}}
    return trained(bundles, _seeds(size), data, size, out / "seeds" / "trained.jsonl")


def choosing(out: Path, size: Size) -> dict[str, Any]:
    """Choose among bundles of one true value on validation, as confirmation does, and judge on test."""
    rows, seeds, dice = many(out, size, ROLLS), _seeds(size), random.Random(0)
    verdicts: list[str] = []
    fixed: list[str] = []
    for _ in range(MANY):
        drawn = dice.sample(seeds, size.seeds)
        spreads = {name: SeedStatistics.of([rows[name, seed][0] for seed in drawn]) for name in (*ROLLS, "baseline")}
        for name, said in ((best(spreads, "baseline", 1), verdicts), (ROLLS[0], fixed)):
            difference = interval([rows[name, seed][1] - rows["baseline", seed][1] for seed in drawn])
            said.append(verdict(difference, name == "baseline"))
    wrong, unchosen = (sum(word == BETTER for word in said) for said in (verdicts, fixed))
    means = {name: fmean(rows[name, seed][1] - rows["baseline", seed][1] for seed in seeds) for name in ROLLS}
    return {"criterion": "better than the baseline in at most 5% though nothing is", "right": len(verdicts) - wrong,
            "of": len(verdicts), "met": wrong <= 0.05 * len(verdicts), "better": wrong / len(verdicts),
            "better_without_choosing": unchosen / len(fixed), "true_means": means,
            "said": f"better in {wrong / len(verdicts):.1%}; of one bundle that is not chosen in "
                    f"{unchosen / len(fixed):.1%}"}


def show(row: dict[str, Any]) -> str:
    return (f"{row['search']:3}  {row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]  {row['verdict'][:26]:26}  "
            f"{' + '.join(row['tricks']) or 'plain'}")


STUDIES: dict[str, Callable[[Path, Size], dict[str, Any]]] = {
    "nothing": nothing, "objects": objects, "planted": planted, "coverage": coverage, "choosing": choosing}


def main() -> int:
    parser = argparse.ArgumentParser(description="Studies of confirmation and ablation whose truth is known.")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(STUDIES)} (all)")
    parser.add_argument("--searches", type=int, default=0, help="of the first two studies (20)")
    parser.add_argument("--trials", type=int, default=0, help="of each search (24, which is autotricks' own default)")
    parser.add_argument("--out", type=Path, default=Path("honesty"), help="folder of runs and honesty.json")
    parser.add_argument("--quick", action="store_true", help="a minute or two to see that it works; concludes nothing")
    given = parser.parse_args()
    if not set(given.studies) <= set(STUDIES):
        parser.error(f"there are the studies {', '.join(STUDIES)}.")
    torch.set_num_threads(1)
    size = QUICK if given.quick else Size()
    size = replace(size, searches=given.searches or size.searches, trials=given.trials or size.trials)
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "honesty.json"
    results: dict[str, Any] = read(file) if file.exists() else {}
    for name in given.studies or STUDIES:
        print(f"\n{name}: {(STUDIES[name].__doc__ or '').splitlines()[0]}", flush=True)
        cpu, wall = sum(os.times()[:4]), time.monotonic()
        results[name] = STUDIES[name](given.out, size)
        results[name] |= {"wall_seconds": time.monotonic() - wall, "cpu_seconds": sum(os.times()[:4]) - cpu}
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"\n{'study':9} {'right':>5} {'of':>5}")
    for name, found in results.items():
        met = "met" if found["met"] else "MISSED"
        print(f"{name:9} {found['right']:5} {found['of']:5}  {found['criterion']}: {met}\n{'':21}  {found['said']}")
    return 0 if given.quick or all(found["met"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
