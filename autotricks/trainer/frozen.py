"""Features once: where all but the classifier is frozen, what goes into it is computed once an image and kept.

What is kept lies in a file that is mapped into memory, named by a hash of all that it follows from: the weights below
the classifier, the model's tricks, the images, and how they are augmented and normalized. So trials that differ in
their classifier, loss, sampler or optimizer alone share one pass through the network.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.dataset import Dataset, Split
from ..core.images import CHUNK
from ..core.plan import Phase
from ..core.run import Run
from ..core.slots import Augment, Slot
from ..core.traits import Trait
from ..errors import ModelError
from ..io.array_cache import kept
from ..nn.classifier import classifier, features

PROBED = 64                     # images on which it is seen whether features are all that the logits follow from
ALIKE = 1e-4                    # largest difference of a logit, for one of 1, that rounding makes
# Slots whose tricks change with every step what the network sees, and traits of those that look at images in the loss.
CHANGING = frozenset({Slot.LOAD, Slot.BATCH})
LOOKING = frozenset({Trait.INNER_GRADIENTS, Trait.DISTILLS})
RANDOM = ("p", "drop_prob", "drop_rate")        # attributes of modules that drop something at random


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """What goes into a classifier whose network is frozen.

    Args:
        head: The classifier's name inside the model.
        train: Of the training images, [V, N, F]: V views of each.
        validation: Of the validation images, [M, F].
    """

    head: str
    train: Tensor
    validation: Tensor

    def batch(self, rows: Tensor, run: Run) -> Batch:
        """Return the batch of these rows, [B], with features for images, [B, F], each of any of its views."""
        if len(self.train) == 1:
            return Batch(self.train[0].index_select(0, rows), run.targets[rows], rows)
        drawn = torch.randint(len(self.train), rows.shape, generator=run.generator, device=rows.device)
        return Batch(self.train[drawn, rows], run.targets[rows], rows)

    def classifier(self, model: nn.Module) -> nn.Module:
        """Return the classifier of a model: the one that trains, or its average."""
        return model.get_submodule(self.head)

    def splits(self, dataset: Dataset) -> tuple[Split, Split]:
        """Return train and validation with features in the place of images."""
        return Split(self.train[0], dataset.train.targets), Split(self.validation, dataset.validation.targets)

    def same_below(self, one: nn.Module, other: nn.Module) -> bool:
        """Return whether two models, one the average of the other, differ in their classifier alone."""
        theirs = other.state_dict()
        return all(torch.equal(value, theirs[name]) for name, value in below(one, self.head))


def frozen_features(phase: Phase, dataset: Dataset, run: Run, augment: Augment) -> FrozenFeatures | None:
    """Return the features of a phase that was just entered; None where they change from step to step.

    Args:
        phase: That was entered.
        dataset: On the device.
        run: Its model as it is now.
        augment: The phase's augmentation.
    """
    augmenting = [use for use in phase.uses if Slot.AUGMENT in use.trick.seats]
    changing = [use for use in phase.uses if use.trick.unfreezes or CHANGING & use.trick.seats.keys()
                or LOOKING & use.trick.provides]
    if changing or (augmenting and not run.views) or run.runtime.ranks > 1 or run.runtime.compile:
        return None
    head = _head(run)
    if head is None or not _follow(run, head, dataset):
        return None
    views = run.views if augmenting else 1
    told = [use.document() for use in augmenting] if augmenting else []
    key = _key(dataset, run, head) if dataset.fingerprint else ""

    def seen() -> Tensor:
        if not augmenting:
            return _computed(run, head, dataset.train, lambda batch: batch)[None]
        return torch.stack([_view(run, head, dataset.train, augment, view) for view in range(views)])
    train = kept(key, f"train {views} {json.dumps(told)}", seen)
    validation = kept(key, "validation", lambda: _computed(run, head, dataset.validation, lambda batch: batch))
    return FrozenFeatures(head, train.to(run.device), validation.to(run.device))


def below(model: nn.Module, head: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights and buffers of a model that are not its classifier's."""
    for name, value in model.state_dict().items():
        if not name.startswith(f"{head}."):
            yield name, value


def _head(run: Run) -> str | None:
    """Return the name of the classifier where it alone is trained and nothing below it draws at random or moves."""
    try:
        head = classifier(run.model, run.classes)
    except ModelError:
        return None
    trained = [name for name, weight in run.model.named_parameters() if weight.requires_grad]
    inside = [name.startswith(f"{head}.") for name in trained]
    if not trained or not all(inside) or len(trained) == len(list(run.model.parameters())):
        return None
    moving = [name for name, module in run.model.named_modules() if module.training and _changes(module)]
    return None if moving else head


def _changes(module: nn.Module) -> bool:
    """Return whether a module that trains gives another answer at the next step."""
    if getattr(module, "running_mean", None) is not None:
        return True
    rates = [getattr(module, word, 0.0) for word in RANDOM] if "Drop" in type(module).__name__ else []
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


@torch.no_grad()
def _follow(run: Run, head: str, dataset: Dataset) -> bool:
    """Return whether logits are what the classifier makes of its features, and nothing else."""
    images = run.normalize(dataset.validation.sample(PROBED).images[torch.arange(
        min(PROBED, len(dataset.validation)), device=run.device)])
    module = run.model.get_submodule(head)
    logits, given = features(run.model, module, images)
    if given.ndim != 2 or not isinstance(logits, Tensor):
        return False
    return torch.allclose(module(given), logits, rtol=ALIKE, atol=ALIKE)


@torch.no_grad()
def _computed(run: Run, head: str, split: Split, seen: Augment) -> Tensor:
    """Return what goes into the classifier for every image of a split, [N, F]."""
    module = run.model.get_submodule(head)
    dtype = run.runtime.autocast
    parts = []
    rows = torch.arange(len(split), device=run.device)
    for images, part in zip(split.images.split(CHUNK), rows.split(CHUNK), strict=True):
        batch = seen(Batch(images / 255, split.targets[part], part))
        with torch.autocast(run.device.type, dtype) if dtype else nullcontext():
            _, given = features(run.model, module, (batch.images - run.mean) / run.std)
        parts.append(given.float())
    return torch.cat(parts)


def _view(run: Run, head: str, split: Split, augment: Augment, view: int) -> Tensor:
    """Return the features of one augmented view of each image, which depends on its number alone."""
    state = run.generator.get_state()
    run.generator.manual_seed(view)
    try:
        return _computed(run, head, split, augment)
    finally:
        run.generator.set_state(state)


def _key(dataset: Dataset, run: Run, head: str) -> str:
    """Return a hash of all that the features of an image follow from, but its augmentation."""
    layers = [(name, type(module).__qualname__, module.extra_repr()) for name, module in run.model.named_modules()
              if name != head and not name.startswith(f"{head}.")]
    facts = [type(run.model).__qualname__, layers, dataset.fingerprint, dataset.mean, dataset.std,
             dataset.image_shape, str(run.runtime.autocast)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name, value in below(run.model, head):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
