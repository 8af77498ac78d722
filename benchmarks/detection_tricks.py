"""Which tricks pay in detection, on the scenes of digits: each alone added to one recipe, over fresh seeds.

    python benchmarks/detection_tricks.py run [--part 0/2] [--only NAME ...]    # resumable; parts may run side by side
    python benchmarks/detection_tricks.py show

Every training has 6 epochs; a trick is judged by average precision on test, in points, by the paired difference to the
recipe with the same seed. Nothing was chosen by these figures: a trick has its defaults but for its window.
"""
from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is imported

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from machine import one_thread

from autotricks.core.bundle import Bundle
from autotricks.core.slots import Slot
from autotricks.data.load import load
from autotricks.data.settings import Settings
from autotricks.stats.intervals import interval
from autotricks.trainer import Trainer
from autotricks.trainer.evaluate import measured
from autotricks.trainer.pipeline import fold
from autotricks.tricks.catalog import make, plan_of

RESULTS = Path(__file__).parent / "results" / "detection_tricks"
EPOCHS = 6
BATCH = 8
SEEDS = range(500, 505)
MODEL = "fcos:resnet8"
RECIPE: dict[str, dict[str, Any]] = {"adamw": {"lr": 0.01}, "cosine": {}, "warmup": {"epochs": 0.6}}
ARMS: dict[str, dict[str, dict[str, Any]]] = {
    "the recipe": {},
    "sgd": {"sgd": {"lr": 0.2, "nesterov": True}},
    "ema": {"ema": {"decay": 0.98}},
    "sam": {"sam": {}},
    "no_bias_decay": {"no_bias_decay": {}},
    "feature_pyramid": {"feature_pyramid": {}},
    "gradient_clipping": {"gradient_clipping": {"max_norm": 1.0}},
    "center_sampling, radius 1": {"center_sampling": {"radius": 1.0}},
    "center_sampling, radius 2.5": {"center_sampling": {"radius": 2.5}},
    "dense_focal, alpha 0.5": {"dense_focal": {"alpha": 0.5}},
    "quality_focal": {"quality_focal": {}},
    "iou": {"iou": {}},
    "ciou": {"ciou": {}},
    "giou, small objects count more": {"giou": {"small": True}},
    "box_label_smoothing": {"box_label_smoothing": {}},
    "box_class_weights": {"box_class_weights": {}},
    "soft_suppression": {"soft_suppression": {}},
    "repeat_factor": {"repeat_factor": {"threshold": 0.5}},
    "class_balanced": {"class_balanced": {}},
    "square_root": {"square_root": {}},
    "mosaic": {"mosaic": {"stop": 0.75}},
    "mixup": {"mixup": {"alpha": 1.5, "stop": 0.75}},
    "copy_paste": {"copy_paste": {}},
    "crop": {"crop": {}},
    "scale_jitter": {"scale_jitter": {}},
    "random_affine": {"random_affine": {"degrees": 10.0}},
    "random_erasing": {"random_erasing": {}},
    "grid_mask": {"grid_mask": {}},
    "color_jitter": {"color_jitter": {}},
    "multi_scale": {"multi_scale": {}}}


def bundle_of(arm: dict[str, dict[str, Any]], seed: int) -> Bundle:
    """Return the recipe with tricks added; one that takes a seat of the recipe takes its place."""
    added = {name: make(name, values) for name, values in arm.items()}
    single = {(slot, seat) for use in added.values() for slot, seat in use.trick.seats.items()
              if slot.seat(seat).single and slot is Slot.OPTIMIZER}
    own = [make(name, values) for name, values in RECIPE.items()]
    kept = [use for use in own if not single & set(use.trick.seats.items())]
    return Bundle((*kept, *added.values()), MODEL, epochs=EPOCHS, batch_size=BATCH, seed=seed)


def trained(dataset: Any, bundle: Bundle) -> dict[str, float]:
    """Train a bundle; return its figures on test."""
    torch.manual_seed(bundle.seed)
    model = dataset.task.build(bundle.model, len(dataset.classes), dataset.image_shape)
    plan = plan_of(bundle, dataset.task, dataset.traits)
    trainer = Trainer(plan, model, dataset)
    list(trainer.epochs())
    trainer.evaluated.eval()
    predict = fold(plan.once, Slot.PREDICT, trainer.evaluated, trainer.run)
    return measured(lambda images: predict((images - trainer.run.mean) / trainer.run.std), dataset.test, dataset)


def run(part: str, only: list[str]) -> None:
    """Train what is not trained yet, seed by seed."""
    number, parts = map(int, part.split("/"))
    RESULTS.mkdir(parents=True, exist_ok=True)
    dataset = load(Settings(source="digit_scenes", task="detection")).dataset
    todo = [(name, seed) for seed in SEEDS for name in ARMS if not only or name in only]
    done = {(row["arm"], row["seed"]) for row in rows()}
    for place, (name, seed) in enumerate(todo):
        if place % parts != number or (name, seed) in done:
            continue
        started = time.process_time()
        figures = trained(dataset, bundle_of(ARMS[name], seed))
        row = {"arm": name, "seed": seed, "seconds": round(time.process_time() - started, 1),
               "figures": {key: round(value, 5) for key, value in figures.items()}}
        with (RESULTS / f"part_{number}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row["arm"], seed, f"{figures['average_precision']:.3f}", row["seconds"], flush=True)


def rows() -> list[dict[str, Any]]:
    """Return what was trained."""
    return [json.loads(line) for file in sorted(RESULTS.glob("*.jsonl"))
            for line in file.read_text("utf-8").splitlines()]


def show() -> None:
    """Print the table: what each trick adds, in points of average precision on test, with its 95 % interval."""
    by_arm: dict[str, dict[int, float]] = {}
    for row in rows():
        by_arm.setdefault(row["arm"], {})[row["seed"]] = 100 * row["figures"]["average_precision"]
    base = by_arm["the recipe"]
    print(f"The recipe: {sum(base.values()) / len(base):.1f} ({', '.join(f'{one:.1f}' for one in base.values())})\n")
    print("| added to the recipe | points of average precision on test | 95 % interval | seeds |")
    print("| --- | --- | --- | --- |")
    lines = []
    for name, scores in by_arm.items():
        shared = [score - base[seed] for seed, score in scores.items() if seed in base]
        if name == "the recipe" or len(shared) < 2:
            continue
        found = interval(shared)
        lines.append((found.mean, f"| {name} | {found.mean:+.1f} | {found.low:+.1f} to {found.high:+.1f} | "
                      f"{len(shared)} |"))
    print("\n".join(line for _, line in sorted(lines, reverse=True)))


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=["run", "show"])
    words.add_argument("--part", default="0/1")
    words.add_argument("--only", nargs="*", default=[])
    given = words.parse_args()
    one_thread()
    run(given.part, given.only) if given.what == "run" else show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
