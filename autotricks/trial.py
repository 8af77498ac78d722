"""Run one trial: bundle + data + reporter -> result. Pure torch; usable from a notebook."""
from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import nn

from .core.bundle import Bundle
from .core.dataset import Dataset
from .core.reporting import End, ListReporter, Metrics, Reporter, Verdict
from .core.run import ModelFactory, Runtime
from .core.slots import Predict
from .core.weights import Weights, key
from .models import Pin, load_weights
from .system.lazy_compiler import compile_alone, postpone
from .trainer import Trainer
from .trainer.distributed import among
from .tricks.catalog import plan_of

NHWC_FROM = 32  # side in pixels from which images and weights are laid out as NHWC: 1.2 times as fast for ResNet-20


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial.

    Args:
        bundle: What was trained.
        end: Why training ended.
        history: Metrics of each epoch.
        metrics: The figures of the last epoch, with the images a second of training; empty before the first.
        epochs: Epochs' worth of optimizer steps spent.
        seconds: Wall time of training, set-up included.
        micro_batches: Pieces into which memory forced each batch.
        model: The trained model, averaged where the bundle averages.
    """

    bundle: Bundle
    end: End
    history: tuple[Metrics, ...]
    metrics: dict[str, float]
    epochs: float
    seconds: float
    micro_batches: int
    model: nn.Module = field(repr=False, compare=False)


def with_weights(dataset: Dataset, bundles: Iterable[Bundle], pin: Pin | None = None) -> Dataset:
    """Return a data set that holds the weights which some bundles begin with; those that it lacks are read or fetched.

    Args:
        dataset: What is trained on.
        bundles: What is trained.
        pin: Which published weights they must be; None takes the newest.

    Raises:
        ModelError: When weights cannot be had, or are damaged.
    """
    wanted = {key(bundle.model, bundle.weights): bundle for bundle in bundles if bundle.weights}
    missing = {name: load_weights(bundle.model, bundle.weights, pin) for name, bundle in wanted.items()
               if name not in dataset.weights}
    return replace(dataset, weights={**dataset.weights, **missing}) if missing else dataset


def prepare(bundle: Bundle, dataset: Dataset, device: torch.device | str = "cpu", trust: bool = False,
            kind: type[Trainer] = Trainer, together: bool = False) -> Trainer:
    """Seed everything, build the bundle's model and return a trainer that has not started.

    Args:
        bundle: What to train.
        dataset: Train and validation; test is not read.
        device: Where to train.
        trust: Whether a model of the form `my.module:function` may be imported.
        kind: Of the trainer.
        together: Whether the other ranks, which this process has joined, train the same meanwhile.

    Raises:
        BundleError: When the bundle's tricks conflict.
        ModelError: When there is no such model.
    """
    postpone()
    if torch.device(device).type == "cpu":
        compile_alone(torch.get_num_threads())
    plan = plan_of(bundle, dataset.task, dataset.traits)
    torch.manual_seed(bundle.seed)
    dataset = with_weights(dataset, [bundle]).normalized(bundle)
    make = partial(dataset.task.build, bundle.model, len(dataset.classes), dataset.image_shape, trust)

    def teacher(address: str) -> Predict:
        from .inference.predictor import teacher as find  # reads YAML, which a trial without a teacher does not need
        from .tracking.model_registry import local_folder

        return find(local_folder(address), dataset, device, trust)

    def given(name: str) -> Weights:
        return dataset.weights[key(bundle.model, name)]
    runtime = Runtime(channels_last=min(dataset.image_shape[1:]) >= NHWC_FROM)
    runtime = among(runtime) if together else runtime
    return kind(plan, make(), dataset, device, runtime, ModelFactory(make, teacher, given))


def run_trial(bundle: Bundle, dataset: Dataset, reporter: Reporter | None = None,
              device: torch.device | str = "cpu", trust: bool = False, together: bool = False) -> TrialResult:
    """Train a bundle on a data set and evaluate it on the validation split after every epoch.

    Args:
        bundle: Tricks, model, epochs, batch size and seed.
        dataset: Train and validation; test is not read.
        reporter: Hears the metrics of each epoch and may stop the trial.
        device: Where to train.
        trust: Whether a model of the form `my.module:function` may be imported.
        together: Whether the other ranks, which this process has joined, train the same meanwhile.

    Raises:
        BundleError: When the bundle's tricks conflict.
        ModelError: When there is no such model.
    """
    started = time.monotonic()
    listen = reporter or ListReporter()
    trainer = prepare(bundle, dataset, device, trust, together=together)
    end = None
    try:
        for metrics in trainer.epochs():
            if listen(metrics) is Verdict.STOP and trainer.epoch < bundle.epochs:
                end = End.STOPPED
                break
    except torch.OutOfMemoryError:
        end = End.OUT_OF_MEMORY
    return TrialResult(bundle, trainer.end or end or End.FINISHED, tuple(trainer.history), trainer.figures,
                       trainer.spent, time.monotonic() - started, trainer.run.runtime.micro_batches, trainer.evaluated)
