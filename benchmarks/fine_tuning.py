"""What pretrained weights bring: from scratch, a classifier alone, and fine-tuned, each searched and confirmed.

    python benchmarks/fine_tuning.py run --models MODELS --sets SIGNS=image_folder:signs WASTE=image_folder:waste
    python benchmarks/fine_tuning.py table

MODELS is a folder with one folder for each model, as timm pushes it to the hub: config.json and model.safetensors. They
are served by a hub on loopback and fetched by name. Every measurement is a JSON line of benchmarks/results/
fine_tuning.jsonl; what is there already is not measured again.

search: a whole search of each arm with confirmation; what is told is the champion's test figure over fresh seeds.
order:  each model fine-tuned by one plain bundle, two seeds, beside what a classifier alone makes of its features.
once:   forty trainings of a classifier on a frozen network, with features computed once and in every step.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "fine_tuning.jsonl"
USER = "bench"
HEADS = {"label_smoothing": {}, "focal": {}, "class_weights": {}, "balanced_softmax": {}, "logit_adjustment": {},
         "class_balanced": {}, "square_root": {}, "head_init": {}, "cosine_head": {}}
SIMPLE = {"cosine": {"always": True}, "warmup": {"epochs": {"uniform": [0, 2]}}, "label_smoothing": {}, "mixup": {},
          "random_resized_crop": {"smallest": {"uniform": [0.3, 0.9]}}, "color_jitter": {}, "random_erasing": {},
          "ema": {}, "no_bias_decay": {}}
SCRATCH = {**SIMPLE, "adamw": {"lr": {"loguniform": [3e-4, 5e-3]}, "weight_decay": {"loguniform": [1e-3, 0.3]}},
           "sgd": {"lr": {"loguniform": [0.01, 0.3]}, "nesterov": True, "weight_decay": 1e-3}}
ARMS: dict[str, dict[str, Any]] = {
    "from scratch": {"pretrained": False, "epochs": 5, "trials": 6, "tricks": SCRATCH},
    "from scratch, four times as long": {"pretrained": False, "epochs": 20, "trials": 6, "tricks": SCRATCH},
    "classifier alone": {"pretrained": True, "epochs": 12, "trials": 16, "tricks": {
        **HEADS, "linear_probe": {"always": True}, "cosine": {"always": True},
        "adamw": {"lr": {"loguniform": [1e-3, 0.1]}, "weight_decay": {"loguniform": [1e-3, 1.0]}}}},
    "fine-tuned": {"pretrained": True, "epochs": 5, "trials": 6, "tricks": {
        **SIMPLE, "adamw": {"lr": {"loguniform": [1e-4, 3e-3]}, "weight_decay": {"loguniform": [1e-3, 0.3]}},
        "layer_decay": {}, "linear_probe": {"stop": {"choice": [0.2, 0.4]}}, "head_lr": {}, "wise_ft": {}}}}


def models(folder: Path) -> list[str]:
    """Return the models' names on the hub."""
    return [f"{USER}/{one.name}" for one in sorted(folder.iterdir())]


@contextmanager
def hub(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the models and yield the environment in which they are found."""
    from tests.hub import serving

    repositories = {name: {file.name: file.read_bytes() for file in (folder / name.partition("/")[2]).iterdir()}
                    for name in models(folder)}
    with serving(repositories) as served, tempfile.TemporaryDirectory() as home:
        yield {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": home, "PYTHONPATH": str(ROOT),
               "OMP_NUM_THREADS": "1"}


def space(arm: str, source: str, names: list[str], size: int) -> dict[str, Any]:
    """Return the space of an arm."""
    asked = ARMS[arm]
    suffix = [f"timm:hf-hub:{name}" for name in names]
    plain = [f"timm:{name.partition('/')[2]}" for name in names]
    tricks = {**asked["tricks"], **({} if asked["pretrained"] else {"kaiming": {}})}
    return {"name": arm.replace(",", "").replace(" ", "_"),
            "data": {"source": source, "size": size, "channels": 3, "validation": 1 / 3},
            "model": {"name": {"choice": suffix if asked["pretrained"] else plain}, "pretrained": asked["pretrained"]},
            "training": {"epochs": asked["epochs"], "batch_size": 32, "precision": "fp32", "layout": "nchw"},
            "search": {"trials": asked["trials"], "engine": "local", "parallel": 1, "rungs": {"first": 2}},
            "confirm": {"top": 1, "seeds": 3}, "tricks": tricks}


def search(arm: str, source: str, names: list[str], size: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return what a search of an arm found on test, over fresh seeds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "space.yaml")
        path.write_text(yaml.safe_dump(space(arm, source, names, size), sort_keys=False))
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "autotricks", "search", "--space", str(path), "--tracking", "off",
                               "--root", str(Path(folder, "runs"))], env=environment, capture_output=True, text=True,
                              check=False)
        seconds = time.monotonic() - started
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        run, = Path(folder, "runs").iterdir()
        champion = yaml.safe_load((run / "champion.yaml").read_text())
        confirmed = champion["result"]["confirmed"]
        best = str(confirmed["champion"])
        return {"test": confirmed["test"][best]["values"], "difference": confirmed["difference"],
                "verdict": confirmed["verdict"], "model": champion["model"]["name"],
                "tricks": sorted(champion["tricks"]), "seconds": round(seconds),
                "told": [line for line in done.stdout.splitlines() if "classifier alone" in line]}


def order(source: str, names: list[str], size: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return what a classifier alone reaches on each model's features, and what fine-tuning does."""
    code = Path(__file__).with_name("fine_tuning_order.py")
    asked = json.dumps({"source": source, "names": names, "size": size})
    done = subprocess.run([sys.executable, str(code), asked], env=environment, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def known() -> list[dict[str, Any]]:
    """Return the measurements so far."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def note(**line: Any) -> None:
    """Append a measurement."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line)[:300], flush=True)


def table() -> None:
    """Print the measurements as tables."""
    lines = known()
    sets = list(dict.fromkeys(line["set"] for line in lines if line["kind"] == "search"))
    print("| arm | " + " | ".join(sets) + " |\n|" + " --- |" * (1 + len(sets)))
    for arm in ARMS:
        cells = []
        for name in sets:
            found = next((line for line in lines if line["kind"] == "search" and (line["arm"], line["set"]) == (
                arm, name)), None)
            cells.append("" if found is None else f"{fmean(found['test']):.3f} ({min(found['test']):.3f} to "
                         f"{max(found['test']):.3f}), {found['model'].partition('?')[0]}, {found['seconds']} s")
        print(f"| {arm} | " + " | ".join(cells) + " |")
    for line in lines:
        if line["kind"] != "search":
            print(json.dumps(line))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--models", type=Path)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--order", action="store_true")
    asked = parser.parse_args()
    if asked.what == "table":
        return table()
    names = models(asked.models)
    with hub(asked.models) as environment:
        for word in asked.sets:
            name, _, source = word.partition("=")
            done = {(line["set"], line.get("arm")) for line in known()}
            for arm in asked.arms:
                if (name, arm) not in done:
                    note(kind="search", set=name, arm=arm, **search(arm, source, names, asked.size, environment))
            if asked.order and (name, None) not in done:
                note(kind="order", set=name, **order(source, names, asked.size, environment))
    return None


if __name__ == "__main__":
    main()
