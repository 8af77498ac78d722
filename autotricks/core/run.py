"""Run: what is known while training; Runtime: how the step is carried out; ModelFactory: what a run may ask for."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .images import Images
from .slots import Average, Predict
from .targets import Targets
from .task import Task
from .weights import Weights


@dataclass(frozen=True)
class Runtime:
    """How a step is carried out, whatever it computes.

    Args:
        channels_last: Lay images and weights out as NHWC.
        micro_batches: Pieces into which a batch is cut; gradients add up to those of the whole batch.
        autocast: What the forward pass of a step computes in; None: as the weights are. Losses, and all evaluation,
            are float32. float16 scales the loss meanwhile.
        checkpointing: Recompute the blocks of the model in the backward pass, so as not to keep what is inside them.
        compile: Compile the model for the forward passes of steps.
        benchmark: Let cuDNN try its algorithms for each new shape and take the fastest.
        ranks: Processes that train together, each with a device of its own. All draw the same batches; each computes
            the gradients of its part, and they add up. Parts are cut into micro-batches.
        rank: Which of them this one is, from 0.
    """

    channels_last: bool = False
    micro_batches: int = 1
    autocast: torch.dtype | None = None
    checkpointing: bool = False
    compile: bool = False
    benchmark: bool = False
    ranks: int = 1
    rank: int = 0

    def cut(self, rows: Tensor) -> list[Tensor]:
        """Return the rows of a batch as they go through the model together: by rank, then by micro-batch."""
        return [piece for part in rows.tensor_split(self.ranks)
                for piece in part.tensor_split(min(self.micro_batches, len(part)))]


DEFAULT_RUNTIME = Runtime()


@dataclass(frozen=True)
class ModelFactory:
    """What a run may ask for beyond its data.

    Args:
        fresh: Builds the bundle's model anew, with other random weights; None repeats the weights of the start.
        teacher: Finds a trained model by its address: a folder with a bundle and its weights, or a registry's name.
        weights: Finds trained weights: the `default` ones of the bundle's model, or those of a file.
    """

    fresh: Callable[[], nn.Module] | None = None
    teacher: Callable[[str], Predict] | None = None
    weights: Callable[[str], Weights] | None = None


NO_FACTORY = ModelFactory()

Probe = Callable[[Optimizer, list[float]], list[float]]


# Trainings after which a process forgets what it has compiled: torch compiles at most eight variants of the same code,
# and the models of a search's trials run through the same code one after another.
RENEWED = 4
_COMPILED = count(1)


@dataclass(eq=False)
class Run:
    """What a trick may know while training.

    Args:
        model: The model being trained.
        images: Images of the training split, [N, D, H, W], uint8; in memory, or streamed: read where asked for.
        targets: Of the training split, of N images, on `device`.
        counts: Training images of each class, [C], float32, on `device`.
        mean: Mean of each channel in [0, 1], [D, 1, 1], on `device`.
        std: Standard deviation of each channel, [D, 1, 1], on `device`.
        task: What is to be learned.
        image_shape: (D, H, W).
        batch_size: Images a step.
        epochs: Length of this training run; fractions of an epoch count.
        steps_per_epoch: Optimizer steps in an epoch.
        device: Where images, labels and model live.
        generator: The only source of randomness for tricks, on `device`.
        probe: Train a few steps with the given optimizer at each of the given learning rates, return the losses,
            and leave everything as it was. Set by the trainer before optimizers are built.
        optimizer: The optimizer, once it is built.
        average: The averaged weights, once they are there.
        fresh: Build the model anew as it was before the first step, with other random weights.
        teacher: Find a trained model by its address; it maps images as this run normalizes them to logits.
        weights: Find trained weights to begin with: `default`, or a file's path.
        memory: What tricks note when their window opens and need until training ends; part of every checkpoint, never
            exported. Keys begin with the trick's name and a dot.
        eval_modules: Names of modules that stay in evaluation mode while the model trains; part of every checkpoint.
        views: Of each image, whose features may be computed once and for all where the network is frozen; 0 for those
            of the images as they are alone.
        classify: The classifier alone, which maps features to logits, where these were computed once.
        progress: Fraction of training done, in [0, 1]; moves with every step.
        windows: Fractions of training, from and to, in which each trick is active, by its name.
    """

    model: nn.Module
    images: Images
    targets: Targets
    counts: Tensor
    mean: Tensor
    std: Tensor
    task: Task
    image_shape: tuple[int, int, int]
    batch_size: int
    epochs: float
    steps_per_epoch: int
    device: torch.device
    generator: torch.Generator
    runtime: Runtime = DEFAULT_RUNTIME
    probe: Probe | None = None
    optimizer: Optimizer | None = None
    average: Average = None
    fresh: Callable[[], nn.Module] | None = None
    teacher: Callable[[str], Predict] | None = None
    weights: Callable[[str], Weights] | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    eval_modules: frozenset[str] = frozenset()
    views: int = 0
    classify: nn.Module | None = None
    progress: float = 0.0
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The model as steps call it: compiled where the runtime says so."""
        return self._compiled if self.runtime.compile else self.model

    @cached_property
    def _compiled(self) -> Callable[[Tensor], Tensor]:
        if next(_COMPILED) % RENEWED == 0:
            torch.compiler.reset()
        compiled: Callable[[Tensor], Tensor] = torch.compile(self.model)
        return compiled

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training run."""
        return max(1, round(self.epochs * self.steps_per_epoch))

    def normalize(self, images: Tensor) -> Tensor:
        """Return uint8 images as normalized float32."""
        return (images.float() / 255 - self.mean) / self.std

    def train(self) -> None:
        """Put the model into training mode, but for the modules that are to keep still."""
        self.model.train()
        for name in self.eval_modules:
            self.model.get_submodule(name).eval()

    @torch.no_grad()
    def renew(self, state: Mapping[str, Tensor]) -> None:
        """Set weights and buffers of the model by name; its average follows, and the optimizer forgets them."""
        for model in (self.model, *([self.average.module] if self.average is not None else [])):
            own = model.state_dict()
            for name, value in state.items():
                own[name].copy_(value)
        for name, weight in self.model.named_parameters():
            if name in state and self.optimizer is not None:
                self.optimizer.state.pop(weight, None)
