"""Spaces for the tests of this folder, from text."""
from pathlib import Path

from autotricks.space.load import LoadedSpace, load_space

MIXED = """
name: mixed
training: {epochs: 9}
search: {trials: 20, rungs: {first: 1, reduction: 3}}
tricks:
  sgd:             {lr: {loguniform: [0.01, 0.5]}, nesterov: {choice: [false, true]}}
  adamw:           {lr: search}
  cosine:          {always: true}
  warmup:          {epochs: {quniform: [0, 2, 0.5]}}
  label_smoothing: {epsilon: {uniform: [0.0, 0.2]}}
  mixup:           {alpha: {uniform: [0.1, 2.0]}, stop: {choice: [0.8, 1.0]}}
  cutmix:          {alpha: search}
  balanced_softmax: {}
"""

COUNTED = """
name: counted
training: {epochs: 9}
search: {trials: 100, sampler: grid, rungs: {first: 1, reduction: 3}}
tricks:
  sgd:     {lr: {choice: [0.05, 0.1]}}
  cosine:  {always: true}
  warmup:  {epochs: {quniform: [0.5, 1.5, 0.5]}}
  cutmix:  {alpha: 1.0}
  mixup:   {alpha: 0.2}
  no_bias_decay: {}
"""


def loaded(folder: Path, text: str, *overrides: str) -> LoadedSpace:
    path = folder / "made.yaml"
    path.write_text(text, "utf-8")
    return load_space(path, overrides)
