"""Trainer: phases, epochs, reporting."""
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.batch import Batch
from ..core.dataset import Dataset, Split
from ..core.images import ahead
from ..core.objective import SPEED
from ..core.plan import Phase, Plan, seated
from ..core.reporting import End, Metrics
from ..core.run import DEFAULT_RUNTIME, NO_FACTORY, ModelFactory, Runtime
from ..core.slots import Predict, Schedule, Slot
from ..nn.normalization import synchronize
from .begin import begin
from .chance import rng_state, set_rng_state
from .distributed import agreed
from .evaluate import evaluate, train_metrics
from .frozen import FrozenFeatures, frozen_features
from .pace import Pace
from .pipeline import Pipeline, fold, optimizer, pipeline

EXPLODED = 100  # times the loss of guessing


class Trainer:
    """Train a plan's bundle on a data set, one epoch at a time.

    Args:
        plan: The checked bundle.
        model: A fresh model; the tricks in the `model` slot are applied to it.
        dataset: Training and validation split; the test split is never touched.
        device: Where to train.
        runtime: How to carry out a step.
        supply: What tricks may ask for beyond data and model.

    Attributes:
        end: Why training ended; None while it goes on.
        epoch: Epochs done.
        history: Metrics of each epoch.
        extra_steps: Optimizer steps spent outside the epochs, such as a learning-rate search.
        frozen: What the network makes of each image, where it is frozen in the phase at hand.
    """

    def __init__(self, plan: Plan, model: nn.Module, dataset: Dataset, device: torch.device | str = "cpu",
                 runtime: Runtime = DEFAULT_RUNTIME, supply: ModelFactory = NO_FACTORY):
        self.plan = plan
        self.dataset = dataset.to(device)
        self.end: End | None = None
        self.epoch = 0
        self.extra_steps = 0
        self.history = list[Metrics]()
        self._phase: Phase | None = None
        self._entered: Pipeline | None = None
        self.frozen: FrozenFeatures | None = None
        self._pace = Pace()
        self._unread = torch.empty(0, dtype=torch.int64, device=device)
        self.run = begin(plan, model, self.dataset, torch.device(device), runtime)
        self.run.teacher = supply.teacher
        self.run.weights = supply.weights
        self.run.probe = self.probe_rates
        self.run.fresh = (lambda build=supply.fresh: self._tricked(build())) if supply.fresh else None
        self.run.runtime = fold(plan.once, Slot.RUNTIME, runtime, self.run)
        self.run.model = self._tricked(model)
        for use in plan.active:
            use.trick.check(self.run)
        self._edges = [round(phase.stop * self.run.steps) for phase in plan.phases]
        self.optimizer: Optimizer = optimizer(plan.once, [{"params": list(self.run.model.parameters())}], self.run)
        self.run.optimizer = self.optimizer
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self.factor: Schedule = fold(plan.once, Slot.SCHEDULE, _constant, self.run)
        self.average = self.run.average = fold(plan.once, Slot.AVERAGE, None, self.run)

    def epochs(self) -> Iterator[Metrics]:
        """Train to the end, yielding the metrics of each epoch; stop where training diverges."""
        while self.end is None and self.epoch < self.plan.bundle.epochs:
            yield self.train_epoch()
        self.end = self.end or End.FINISHED
        for use in self._phase.uses if self._phase else ():
            use.trick.leave(self.run)
        self._phase = None

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and exported: the averaged one if there is an average."""
        return self.average.module if self.average is not None else self.run.model

    @property
    def spent(self) -> float:
        """Epochs' worth of optimizer steps so far, learning-rate searches included."""
        return self.epoch + self.extra_steps / self.run.steps_per_epoch

    @property
    def figures(self) -> dict[str, float]:
        """The metrics of the last epoch, with the speed of training; empty before the first."""
        return {**self.history[-1].values, SPEED: self._pace.images_per_second} if self.history else {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {"epoch": self.epoch, "extra_steps": self.extra_steps, "rates": self._rates,
                "micro_batches": self.run.runtime.micro_batches, "end": self.end.value if self.end else None,
                "history": [(metrics.epoch, metrics.values) for metrics in self.history],
                "frozen": [name for name, weight in self.run.model.named_parameters() if not weight.requires_grad],
                "model": self.run.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "average": self.average.state_dict() if self.average is not None else None,
                "memory": dict(self.run.memory), "views": self.run.views, "still": sorted(self.run.eval_modules),
                "generator": self.run.generator.get_state(), "torch": rng_state(self.run.device)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, bit for bit on a CPU."""
        self.epoch = state["epoch"]
        self.extra_steps = state["extra_steps"]
        self._rates = state["rates"]
        self.end = End(state["end"]) if state["end"] else None
        self.history = [Metrics(epoch, values) for epoch, values in state["history"]]
        self.run.runtime = replace(self.run.runtime, micro_batches=state["micro_batches"])
        self.run.model.load_state_dict(state["model"])
        for name, weight in self.run.model.named_parameters():
            weight.requires_grad_(name not in state["frozen"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.run.memory = {name: value.to(self.run.device) for name, value in state["memory"].items()}
        self.run.eval_modules = frozenset(state["still"])
        self.run.views = state["views"]
        self.run.generator.set_state(state["generator"])
        set_rng_state(state["torch"], self.run.device)
        last = self.epoch * self.run.steps_per_epoch - 1
        if last >= 0:
            self.run.train()
            self._phase = self.plan.phases[self._phase_index(last)]
            self._build(self._phase)

    def first_step(self) -> Callable[[], Tensor]:
        """Enter the first phase and return what computes the gradients of its first batch: to watch a step."""
        self.enter(self.plan.phases[0])
        self._set_rate(0)
        rows = next(self.rows(1, 0))
        return lambda: self.pipeline.gradients(self.batch(rows))

    def evaluate(self) -> dict[str, float]:
        """Return the figures on the validation split, by name; at the end with what became of training images."""
        self.evaluated.eval()
        predict, train, validation = self._measured()
        values = evaluate(predict, validation, self.run, "val")
        if self.epoch == self.plan.bundle.epochs:
            values |= train_metrics(predict, train, self.run)
        self.run.train()
        return values

    def _measured(self) -> tuple[Predict, Split, Split]:
        """Return what maps a split to output, and train and validation: normalized images, or features where frozen."""
        frozen = self.frozen
        plain = not seated(self.plan.once, Slot.PREDICT)
        if frozen is not None and plain and frozen.same_below(self.run.model, self.evaluated):
            train, validation = frozen.splits(self.dataset)
            return frozen.classifier(self.evaluated), train, validation
        predict: Predict = fold(self.plan.once, Slot.PREDICT, self.evaluated, self.run)
        return (lambda images: predict(self.run.normalize(images))), self.dataset.train, self.dataset.validation

    def _tricked(self, model: nn.Module) -> nn.Module:
        """Return a model with the tricks of its slot, on the device and laid out in memory as the runtime says."""
        model = fold(self.plan.once, Slot.MODEL, model.to(self.run.device), self.run)
        if self.run.runtime.ranks > 1 and self.run.device.type == "cuda":
            synchronize(model)
        return model.to(memory_format=torch.channels_last) if self.run.runtime.channels_last else model

    def train_epoch(self) -> Metrics:
        """Train one epoch and read its figures: the only time the device is waited for."""
        self.run.train()
        started = time.perf_counter()
        first = self.epoch * self.run.steps_per_epoch
        total = torch.zeros((), device=self.run.device)
        step = first
        stop = first + self.run.steps_per_epoch
        self._unread = self._unread[:0]
        while step < stop:
            index = self._phase_index(step)
            self.run.progress = step / self.run.steps
            self.enter(self.plan.phases[index])
            for rows in self.rows(min(stop, self._edges[index]) - step, step):
                self._set_rate(step)
                total += self.step(rows)
                step += 1
        mean = float(total) / self.run.steps_per_epoch    # the device has done all steps then
        self._pace.add(self.run.steps_per_epoch * self.run.batch_size, time.perf_counter() - started)
        self.epoch += 1
        self.run.progress = self.epoch / self.plan.bundle.epochs
        values = {"train/loss": mean, "train/lr": self.optimizer.param_groups[0]["lr"], **self.evaluate()}
        if self.run.runtime.ranks > 1:
            values = agreed(values, self.run.device)
        metrics = Metrics(self.epoch, values)
        if not metrics.finite or values["train/loss"] > EXPLODED * self.run.task.blind_loss(self.run.classes):
            self.end = End.DIVERGED
        self.history.append(metrics)
        return metrics

    def _phase_index(self, step: int) -> int:
        """Return the number of the phase that a step lies in; window edges are rounded to whole steps."""
        return next(index for index, edge in enumerate(self._edges) if step < edge)

    def enter(self, phase: Phase) -> None:
        """Close and open windows where `phase` is not the one before."""
        if phase is self._phase:
            return
        before = self._phase.uses if self._phase else ()
        for use in before:
            if use not in phase.uses:
                use.trick.leave(self.run)
        for use in phase.uses:
            if use not in before:
                use.trick.enter(self.run)
        if seated(before, Slot.SAMPLER) != seated(phase.uses, Slot.SAMPLER):
            self._unread = self._unread[:0]
        self._phase = phase
        self._build(phase)

    def _build(self, phase: Phase) -> None:
        """Build the callables of a phase, and compute once what its network, where frozen, makes of each image."""
        self.run.classify = None
        self._entered = pipeline(phase, self.run)
        self.frozen = self.frozen_features(phase)
        if self.frozen is not None:
            self.run.classify = self.frozen.classifier(self.run.model)

    def frozen_features(self, phase: Phase) -> FrozenFeatures | None:
        """Return what the network makes of each image in a phase that was just entered, where that stays the same."""
        return frozen_features(phase, self.dataset, self.run, self.pipeline.augment)

    @property
    def pipeline(self) -> Pipeline:
        """The callables of the phase that was entered."""
        assert self._entered is not None, "no phase has been entered"
        return self._entered

    def rows(self, steps: int, first: int) -> Iterator[Tensor]:
        """Yield the rows of `steps` batches: those of the epoch's order not read yet, then a new order's."""
        size = self.run.batch_size
        while len(self._unread) < steps * size:
            self._unread = torch.cat([self._unread, self.pipeline.order(first / self.run.steps)])
        rows = self._unread[:steps * size]
        self._unread = self._unread[steps * size:]
        batches = rows.split(size)
        return iter(batches if self.frozen is not None else ahead(self.run.images, batches))

    def _set_rate(self, step: int) -> None:
        self.run.progress = step / self.run.steps
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.factor(self.run.progress)

    def step(self, rows: Tensor) -> Tensor:
        """Train one step on the batch of these rows, [B]; return its mean loss, on the device."""
        loss = self.pipeline.gradients(self.batch(rows))
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.run.model)
        return loss

    def batch(self, rows: Tensor) -> Batch:
        """Return the batch of these rows, [B], as the model sees it: augmented, normalized, mixed."""
        if self.frozen is not None:
            return self.frozen.batch(rows, self.run)
        raw = Batch(self.pipeline.load(rows), self.run.targets[rows], rows)
        batch = self.pipeline.augment(raw)
        images = (batch.images - self.run.mean) / self.run.std
        if self.run.runtime.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return self.pipeline.mix(batch.painted(images))

    def probe_rates(self, optimizer: Optimizer, rates: list[float]) -> list[float]:
        """Train one step at each rate, from here and with the tricks of the first phase; then undo it all."""
        self.enter(self.plan.phases[0])
        model = copy.deepcopy(self.run.model.state_dict())
        steps = copy.deepcopy(optimizer.state_dict())
        generator = self.run.generator.get_state()
        torch_rng = rng_state(self.run.device)
        largest = max(group["lr"] for group in optimizer.param_groups)
        fractions = [group["lr"] / largest for group in optimizer.param_groups]
        losses = []
        self.run.train()
        for rate, rows in zip(rates, self.rows(len(rates), 0), strict=True):
            for group, fraction in zip(optimizer.param_groups, fractions, strict=True):
                group["lr"] = rate * fraction
            losses.append(self.pipeline.gradients(self.batch(rows)))
            optimizer.step()
        self.extra_steps += len(rates)
        optimizer.zero_grad()
        self.run.model.load_state_dict(model)
        optimizer.load_state_dict(steps)
        self.run.generator.set_state(generator)
        set_rng_state(torch_rng, self.run.device)
        self._unread = self._unread[:0]
        return torch.stack(losses).tolist()


def _constant(progress: float) -> float:
    return 1.0
