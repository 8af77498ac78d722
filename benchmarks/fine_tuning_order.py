"""A classifier alone, fine-tuning, and features computed once or in every step: figures of models on one data set.

Called by fine_tuning.py with what to measure, as JSON; prints a line of JSON.
"""
from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from autotricks.core.bundle import Bundle
from autotricks.data import Settings, load
from autotricks.models import published
from autotricks.probes.transfer import probe
from autotricks.space.load import load_space
from autotricks.trainer import trainer
from autotricks.trial import run_trial, with_weights
from autotricks.tricks.catalog import make

SEEDS = (0, 1)
HEADS = 40      # trainings of a classifier
SHOWN = 4       # of them without features computed once, which takes as long for each


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    asked = json.loads(sys.argv[1])
    names = [str(published(f"timm:hf-hub:{name}").name) for name in asked["names"]]
    data = load(Settings(asked["source"], size=asked["size"], channels=3)).dataset
    weights = make("pretrained", {"weights": "default"})
    tuned = {}
    for name in names:
        bundle = Bundle((weights, make("adamw", {"lr": 5e-4, "weight_decay": 0.05}), make("cosine", {}),
                         make("label_smoothing", {})), model=name, epochs=8, batch_size=32)
        data = with_weights(data, [bundle])
        tuned[name] = [run_trial(replace(bundle, seed=seed), data).metrics["val/accuracy"] for seed in SEEDS]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "space.yaml")
        path.write_text(json.dumps({"name": "probe", "model": {"name": {"choice": names}, "pretrained": True},
                                    "data": {"source": asked["source"], "size": asked["size"]}, "tricks": {"sgd": {}}}))
        alone = {advice.model: advice.accuracy for advice in probe(load_space(path), data)}
    print(json.dumps({"alone": alone, "tuned": tuned, **once(names[0], data, weights)}))


def once(name, data, weights) -> dict[str, float]:
    """Return the seconds of forty trainings of a classifier, and of as many as are tried on images, each."""
    def one(number: int) -> float:
        started = time.monotonic()
        run_trial(Bundle((weights, make("linear_probe", {}), make("cosine", {}),
                          make("adamw", {"lr": 1e-3 * 1.1 ** number})), model=name, epochs=20, batch_size=32), data)
        return time.monotonic() - started
    first = one(0)
    rest = [one(number) for number in range(1, HEADS)]
    features = trainer.frozen_features
    trainer.frozen_features = lambda *given: None
    images = [one(number) for number in range(SHOWN)]
    trainer.frozen_features = features
    return {"first": first, "later": sum(rest) / len(rest), "images": sum(images) / len(images)}


main()
