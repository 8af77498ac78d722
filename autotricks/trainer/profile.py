"""Profile: what the parts of a training step cost."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, TypeVarTuple

import torch
from torch import nn

from ..core.plan import Phase
from ..core.reporting import Metrics
from .trainer import Trainer

PARTS = ("loading", "augmentation", "forward", "backward", "optimizer", "evaluation", "other")
Given = TypeVarTuple("Given")
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Profile:
    """Seconds of a training step by part, evaluation spread over the steps of an epoch.

    Args:
        parts: `loading` of images, `augmentation` with mixing, `forward`, `backward` with the loss and whatever shapes
            gradients, `optimizer`, `evaluation`, and `other`: all that is left of the wall time.
        steps: Of which this is the mean.
    """

    parts: dict[str, float]
    steps: int

    @property
    def step(self) -> float:
        """Wall time of a step: the sum of the parts."""
        return sum(self.parts.values())

    def share(self, *names: str) -> float:
        """Return the share of some parts in a step."""
        return sum(self.parts[name] for name in names) / self.step


class ProfiledTrainer(Trainer):
    """Trains as a trainer does and waits for the device before and after every part, so as to time it."""

    def profile(self, steps_per_epoch: int, images: int) -> Profile:
        """Train two epochs and return what the parts of the second cost: the first compiles and fills caches.

        Args:
            steps_per_epoch: Of real training, over which evaluation is spread.
            images: That real training evaluates on.
        """
        self._seconds = dict.fromkeys(PARTS, 0.0)
        epochs = self.epochs()
        size = len(self.dataset.validation)
        next(epochs)
        self._watch_modules()
        self._seconds = dict.fromkeys(PARTS, 0.0)
        started = time.perf_counter()
        next(epochs)
        self._wait()
        wall = time.perf_counter() - started
        seconds = self._seconds
        seconds["backward"] -= seconds["forward"]   # which is timed within the computation of gradients
        seconds["other"] = wall - sum(seconds.values())
        steps = self.run.steps_per_epoch
        parts = {name: value / steps for name, value in seconds.items()}
        parts["evaluation"] = seconds["evaluation"] * images / size / steps_per_epoch
        return Profile(parts, steps)

    def evaluate(self) -> dict[str, float]:
        """Evaluate, timed."""
        return self._timed("evaluation", super().evaluate)()

    def train_epoch(self) -> Metrics:
        """Train an epoch, begun when the device has nothing else to do."""
        self._wait()
        return super().train_epoch()

    def enter(self, phase: Phase) -> None:
        """Enter a phase, and time what it is made of."""
        before = self._phase
        super().enter(phase)
        if phase is not before:
            parts = self.pipeline
            self._entered = replace(
                parts, load=self._timed("loading", parts.load), augment=self._timed("augmentation", parts.augment),
                mix=self._timed("augmentation", parts.mix), gradients=self._timed("backward", parts.gradients))

    def _watch_modules(self) -> None:
        """Time each forward pass of a step, and the optimizer, by their hooks; a compiled model by its shell's."""
        model = self.run.forward
        clock = [0.0]
        assert isinstance(model, nn.Module)

        def begin(*rest: Any) -> None:
            self._wait()
            clock[0] = time.perf_counter()

        def end(part: str) -> Callable[..., None]:
            def ended(module: Any, *rest: Any) -> None:
                self._wait()
                if part == "optimizer" or module.training:
                    self._seconds[part] += time.perf_counter() - clock[0]
            return ended
        model.register_forward_pre_hook(begin)
        model.register_forward_hook(end("forward"))
        self.optimizer.register_step_pre_hook(begin)
        self.optimizer.register_step_post_hook(end("optimizer"))

    def _timed(self, part: str, call: Callable[[*Given], Returned]) -> Callable[[*Given], Returned]:
        def timed(*given: *Given) -> Returned:
            with self._clock(part):
                return call(*given)
        return timed

    @contextmanager
    def _clock(self, part: str) -> Iterator[None]:
        self._wait()
        started = time.perf_counter()
        yield
        self._wait()
        self._seconds[part] += time.perf_counter() - started

    def _wait(self) -> None:
        if self.run.device.type == "cuda":
            torch.cuda.synchronize(self.run.device)
