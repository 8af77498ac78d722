"""Trainers on a small data set, tricks that show what the trainer does, and a comparison of states bit by bit."""
import io

import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.domain import Float, at_least, tunable
from autotricks.core.plan import plan
from autotricks.core.run import Runtime
from autotricks.core.slots import Slot
from autotricks.core.trick import Trick
from autotricks.models import build
from autotricks.trainer import Trainer
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.sampler.instance import Instance
from autotricks.tricks.schedule.constant import Constant
from tests.conftest import make_dataset

DATASET = make_dataset()
DEFAULTS = (Sgd(), Constant(), Instance(), CrossEntropy())
EPOCHS, STEPS = 4, 20  # 90 images in batches of 16: five steps an epoch
EVENTS: list[tuple[str, int]] = []


class Noise(Trick):
    """Add noise to images."""

    seats = {Slot.AUGMENT: "quality"}
    amount: float = tunable(0.1, search=Float(0, 1), legal=at_least(0))

    def augment(self, inner, run):
        def noisy(batch):
            noise = torch.randn(batch.images.shape, generator=run.generator, device=run.device)
            batch = inner(batch)
            return batch.painted(batch.images + self.amount * noise)
        return noisy


class Doubled(Trick):
    """Double the loss."""

    seats = {Slot.LOSS: "term"}

    def loss(self, inner, run):
        return lambda logits, batch: 2 * inner(logits, batch)


class Watch(Trick):
    """Write down when its window opens and closes, and the steps in which it is called."""

    seats = {Slot.AUGMENT: "erase"}

    def augment(self, inner, run):
        def watched(batch):
            EVENTS.append(("step", round(run.progress * run.steps)))
            return inner(batch)
        return watched

    def enter(self, run):
        EVENTS.append(("enter", round(run.progress * run.steps)))

    def leave(self, run):
        EVENTS.append(("leave", round(run.progress * run.steps)))


class Sevens(Trick):
    """Draw row 7 alone."""

    seats = {Slot.SAMPLER: "draw"}

    def sampler(self, inner, run):
        return lambda progress: torch.full((len(run.targets),), 7)


class Hungry(nn.Module):
    """A network without batch norm that runs out of memory above `limit` images."""

    def __init__(self, limit=10**6, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 4))
        self.limit, self.refused = limit, 0

    def forward(self, images):
        if self.training and len(images) > self.limit:
            self.refused += 1
            raise torch.OutOfMemoryError("simulated")
        return self.body(images)


class Frozen(Trick):
    """Keep the first layer of `Hungry` as it is while the window is open."""

    seats = {Slot.AUGMENT: "color"}

    def augment(self, inner, run):
        return inner

    def enter(self, run):
        run.model.body[1].requires_grad_(False)

    def leave(self, run):
        run.model.body[1].requires_grad_(True)


def resnet():
    return build("resnet8", 4, 1)


def make_trainer(*uses, model=resnet, epochs=EPOCHS, seed=0, runtime=Runtime()):
    uses = tuple(use if isinstance(use, Use) else Use(use) for use in uses)
    bundle = Bundle(uses, epochs=epochs, batch_size=16, seed=seed)
    torch.manual_seed(seed)
    return Trainer(plan(bundle, DEFAULTS), model(), DATASET, runtime=runtime)


def trained(*uses, epochs=None, **settings):
    trainer = make_trainer(*uses, **settings)
    for metrics in trainer.epochs():
        if metrics.epoch == epochs:
            break
    return trainer


def differences(left, right, path="state"):
    """Every place at which two states are not bit for bit the same."""
    if isinstance(left, torch.Tensor):
        return [] if torch.equal(left, right) else [path]
    if isinstance(left, dict):
        if left.keys() != right.keys():
            return [f"{path}: {left.keys() ^ right.keys()}"]
        return [line for key in left for line in differences(left[key], right[key], f"{path}.{key}")]
    if isinstance(left, (list, tuple)):
        if len(left) != len(right):
            return [f"{path}: lengths"]
        return [line for place, pair in enumerate(zip(left, right)) for line in differences(*pair, f"{path}[{place}]")]
    return [] if left == right else [f"{path}: {left} {right}"]


def copied(state):
    """The state as a checkpoint would bring it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
