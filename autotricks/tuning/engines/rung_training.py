"""One trial going up the rungs, in whichever process trains it."""
from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...core.bundle import Bundle
from ...core.dataset import Dataset, Split
from ...core.reporting import End
from ...core.targets import Targets
from ...export import weights_of
from ...runs.trial import Outcome, RungPlan
from ...system.lazy_compiler import postpone
from ...trainer import Trainer
from ...trial import prepare

# Of a data set, what travels as it is.
PLAIN = ("classes", "mean", "std", "fingerprint", "source", "task", "follow_weights")


def warm_up(threads: int) -> None:
    """Make a fresh process ready to train."""
    torch.set_num_threads(threads)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    postpone()


def watch(seconds: float) -> None:
    """Have the kernel kill this process unless it asks again within so many seconds; 0 calls that off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


class RungTrainer:
    """Trains one bundle rung by rung.

    Args:
        bundle: What to train.
        course: The rungs.
        dataset: Train and validation, and the folds where the course has one.
        alive: Told at the start, and as each epoch ends, how long the next may take; 0 at the end.
    """

    def __init__(self, bundle: Bundle, course: RungPlan, dataset: Dataset,
                 alive: Callable[[float], None] = lambda seconds: None):
        self.bundle = bundle
        self.course = course
        self._dataset = dataset.folded(course.fold)
        self._alive = alive
        self._trainer: Trainer | None = None

    def reach(self, rung: int) -> Outcome:
        """Train up to a rung and return what was reached."""
        started = time.monotonic()
        computed = time.process_time()
        budget = self.course.budgets[rung]
        self._alive(self.course.patience)
        trainer, before = self._prepared(budget)
        first = self.course.budgets[rung - 1] if rung and not self.course.compressed else 0
        end = None
        try:
            for report in trainer.epochs():
                self._alive(self.course.patience)
                if report.epoch == budget < trainer.plan.bundle.epochs:
                    break   # at the last epoch the trainer is left to end by itself: the tricks leave their windows
        except torch.OutOfMemoryError:
            end = End.OUT_OF_MEMORY
        self._alive(0)
        last = rung + 1 == len(self.course.budgets)
        if end is None and trainer.end is End.DIVERGED:
            end = End.DIVERGED
        elif end is None and last:
            end = End.FINISHED
        curve = [{"epoch": metrics.epoch, **metrics.values} for metrics in trainer.history[first:]]
        weights = weights_of(trainer.evaluated) if end is End.FINISHED else None
        metrics = trainer.figures if curve else {}
        curve[-1:] = [{**row, **metrics} for row in curve[-1:]]     # with the speed, which is known at the end
        return Outcome(rung, end, metrics, curve, trainer.spent - before, time.monotonic() - started, weights,
                       time.process_time() - computed, trainer.run.runtime.micro_batches)

    def _prepared(self, budget: int) -> tuple[Trainer, float]:
        """Return a trainer for the next rung and the epochs it has spent already."""
        plan = self.course
        if plan.compressed:
            short = self.bundle.rescaled(budget)
            return prepare(short, self._dataset, plan.device, plan.trust, together=plan.together), 0.0
        if self._trainer is None:
            self._trainer = prepare(self.bundle, self._dataset, plan.device, plan.trust, together=plan.together)
            return self._trainer, 0.0
        return self._trainer, self._trainer.spent


def arrays(dataset: Dataset) -> dict[str, Any]:
    """Return a data set as NumPy arrays and plain values: what travels between processes without a copy."""
    def plain(value: Any) -> Any:
        return value.numpy() if isinstance(value, torch.Tensor) else value

    def parts(split: Split) -> tuple[Any, ...]:
        targets = split.targets
        return tuple(map(plain, (split.images, targets.labels, targets.shares, targets.boxes)))
    rest = {name: getattr(dataset, name) for name in PLAIN}
    weights = {name: (replace(held, tensors={}), {part: plain(value) for part, value in held.tensors.items()})
               for name, held in dataset.weights.items()}
    return {"train": parts(dataset.train), "validation": parts(dataset.validation), "rest": rest,
            "weights": weights, "folds": plain(dataset.folds)}


def from_arrays(parts: dict[str, Any]) -> Dataset:
    """Return the data set that `arrays` took apart, without its test split."""
    def tensor(value: Any) -> Any:
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    def split(*values: Any) -> Split:
        images, labels, shares, boxes = map(tensor, values)
        return Split(images, Targets(labels, shares, boxes))
    weights = {name: replace(held, tensors={part: tensor(value) for part, value in values.items()})
               for name, (held, values) in parts["weights"].items()}
    return Dataset(split(*parts["train"]), split(*parts["validation"]), None, **parts["rest"], weights=weights,
                   folds=tensor(parts["folds"]))
