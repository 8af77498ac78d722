"""Training on two ranks beside the same on one: processes with gloo on the CPU, as GPUs would have them with NCCL."""
import copy
import time
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import plan
from autotricks.core.run import Runtime
from autotricks.trainer import Trainer
from autotricks.trainer.distributed import among
from tests.trainer.made import DATASET, DEFAULTS, Hungry

DEVICES = ("cpu", "cpu")


@dataclass(frozen=True)
class Job:
    """A training run: its tricks, how long, and how a batch goes through the model."""

    uses: tuple[Use, ...] = ()
    model: type[nn.Module] = Hungry
    epochs: int = 2
    batch_size: int = 16
    pieces: int = 1
    pause: int = 0      # the epoch after which a checkpoint is taken, and taken up by another trainer
    together: bool = False      # with the other ranks

    def trainer(self) -> Trainer:
        uses = tuple(use if isinstance(use, Use) else Use(use) for use in self.uses)
        torch.manual_seed(0)
        runtime = Runtime(micro_batches=self.pieces)
        return Trainer(plan(Bundle(uses, epochs=self.epochs, batch_size=self.batch_size), DEFAULTS), self.model(),
                       DATASET, runtime=among(runtime) if self.together else runtime)

    def train(self) -> Trainer:
        trainer = self.trainer()
        for metrics in trainer.epochs():
            if metrics.epoch == self.pause:
                state = copy.deepcopy(trainer.state_dict())
                return replace(self, pause=0).train_from(state)
        return trainer

    def train_from(self, state) -> Trainer:
        trainer = self.trainer()
        torch.manual_seed(99)   # whatever was drawn meanwhile
        trainer.load_state_dict(state)
        for _ in trainer.epochs():
            pass
        return trainer


class Uneven(Hungry):
    """A network for whose images the second rank has less memory."""

    def __init__(self, limit=3):
        super().__init__(limit if dist.is_initialized() and dist.get_rank() == 1 else 10**6)


class Tiny(Uneven):
    """One for which the second rank has none."""

    def __init__(self):
        super().__init__(0)


class Broken(Hungry):
    """A network that the second rank cannot train."""

    def forward(self, images):
        if dist.is_initialized() and dist.get_rank() == 1:
            raise ValueError("no such images")
        return super().forward(images)


class Slow(Hungry):
    """A network that takes its time."""

    def forward(self, images):
        time.sleep(0.05)
        return super().forward(images)


class Partial(Hungry):
    """A network that the second rank evaluates to other figures, as another device may."""

    def forward(self, images):
        logits = super().forward(images)
        return logits if self.training or not dist.is_initialized() else logits * (1 + 2 * dist.get_rank())


class Noisy(Hungry):
    """A network with dropout."""

    def __init__(self):
        super().__init__(dropout=0.5)


class Rank:
    """What each rank does: train a job, and see to it that all ranks have the same weights, bit for bit."""

    def __init__(self, device):
        torch.set_num_threads(1)

    def __call__(self, job):
        trainer = job.train()
        if trainer.run.runtime.ranks > 1:
            figures = torch.tensor([value for metrics in trainer.history for value in metrics.values.values()])
            state = {**trainer.run.model.state_dict(), "generator": trainer.run.generator.get_state(),
                     "history": figures}
            for name, weight in state.items():
                theirs = [torch.empty_like(weight) for _ in range(dist.get_world_size())]
                dist.all_gather(theirs, weight.contiguous())
                assert all(torch.equal(weight, each) for each in theirs), f"{name} is another on the other rank"
        return trainer


def together(others, job):
    """Train a job on this process and the others."""
    job = replace(job, together=True)
    others.tell(job)
    with others.lockstep():
        return Rank("cpu")(job)
