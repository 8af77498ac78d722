"""What a user would otherwise train with: a plain DataLoader loop, Lightning and timm, each as it comes.

All three see the same pictures in memory, draw crops and flips from the same distribution, and step the same fused
SGD; no worker processes, which cost more CPU time than they give on a machine whose cores are all training. Where a
library offers a slower and a faster way that does the same, it is the faster one here.

    DataLoader + v2: torchvision's v2 transforms of each PIL image; sums of loss and right answers are read every step.
    Lightning: its Trainer with what it says to switch off for speed: progress bar, checkpoints, logger, model summary,
        sanity check; loss and accuracy are logged by epoch. https://lightning.ai/docs/pytorch/stable/advanced/speed.html
    timm: `create_loader` with fast collate and prefetcher (which normalizes whole batches) and the loop of its
        train.py: meters, `loss.item()` and a scheduler's `step_update` every step. Crop and flip are v2's, as timm has
        no padded crop among its presets.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from machine import Arm
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

SGD: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}


def fused_sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **SGD, fused=True)


def moved(side: int, padding: int) -> list[nn.Module]:
    """Return the crop and the flip of torchvision."""
    return [v2.RandomCrop(side, padding=padding), v2.RandomHorizontalFlip()]


def to_normalized(mean: Sequence[float], std: Sequence[float]) -> list[nn.Module]:
    """Return what makes a normalized float32 tensor of a PIL image."""
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]


class Pictures(Dataset):  # type: ignore[type-arg]
    """PIL images in memory.

    Shapes:
        images: [N, D, H, W], uint8, D of 1 or 3.
        labels: [N], int64.
    """

    def __init__(self, images: Tensor, labels: Tensor):
        pixels = [image.permute(1, 2, 0).squeeze(2).numpy() for image in images]
        self.images, self.labels = [Image.fromarray(one) for one in pixels], labels.tolist()
        self.transform: Callable[[Any], Any] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        image = self.images[place]
        return (self.transform(image) if self.transform else image), self.labels[place]


def plain_loop(model: nn.Module, pictures: Pictures, batch_size: int, transforms: list[nn.Module]) -> Arm:
    """Return an epoch of the loop of PyTorch's own tutorials."""
    pictures.transform = v2.Compose(transforms)
    loader = DataLoader(pictures, batch_size, shuffle=True, num_workers=0, drop_last=True)
    optimizer = fused_sgd(model)

    def epoch() -> None:
        total, right = 0.0, 0
        for images, labels in loader:
            optimizer.zero_grad(set_to_none=True)
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
            right += int((logits.argmax(1) == labels).sum())
    return epoch


def timm_loop(model: nn.Module, pictures: Pictures, batch_size: int, transforms: list[nn.Module],
              scale: tuple[Sequence[float], Sequence[float]]) -> Arm:
    """Return an epoch with timm's loader and the loop of its train.py, for float32 on one CPU."""
    from timm.data import create_loader
    from timm.data.transforms import ToNumpy
    from timm.scheduler import CosineLRScheduler
    from timm.utils import AverageMeter

    channels, side = len(scale[0]), pictures.images[0].size[0]
    loader = create_loader(pictures, (channels, side, side), batch_size, is_training=True, no_aug=True, num_workers=0,
                           mean=tuple(scale[0]), std=tuple(scale[1]), device=torch.device("cpu"), pin_memory=False,
                           persistent_workers=False)
    pictures.transform = v2.Compose([*transforms, ToNumpy()])
    optimizer = fused_sgd(model)
    scheduler = CosineLRScheduler(optimizer, t_initial=10**6, t_in_epochs=False)
    updates = 0

    def epoch() -> None:
        nonlocal updates
        losses = AverageMeter()
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.update(loss.item(), images.size(0))
            updates += 1
            scheduler.step_update(num_updates=updates, metric=losses.avg)
    return epoch


def lightning_loop(model: nn.Module, pictures: Pictures, batch_size: int, transforms: list[nn.Module]) -> Arm:
    """Return an epoch of Lightning's one long `fit`, so that its start counts for nothing."""
    import logging
    import warnings

    import pytorch_lightning as lightning

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    pictures.transform = v2.Compose(transforms)
    loader = DataLoader(pictures, batch_size, shuffle=True, num_workers=0, drop_last=True)

    def fit(pause: Callable[[], None]) -> None:
        trainer = lightning.Trainer(accelerator="cpu", devices=1, max_epochs=10**6, logger=False,
                                    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                                    num_sanity_val_steps=0)
        trainer.fit(_module(lightning.LightningModule, model, pause), loader)
    return in_slices(fit)


def _module(base: type, model: nn.Module, pause: Callable[[], None]) -> Any:
    class Classifier(base):  # type: ignore[misc]
        """The least that Lightning wants to be told."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: tuple[Tensor, Tensor], place: int) -> Tensor:
            """Return the loss of a batch and log it."""
            images, labels = batch
            logits = self.model(images)
            loss = F.cross_entropy(logits, labels)
            self.log("loss", loss, on_step=False, on_epoch=True)
            self.log("accuracy", (logits.argmax(1) == labels).float().mean(), on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """Return what every arm here steps with."""
            return fused_sgd(self.model)

        def on_train_epoch_end(self) -> None:
            """Let the other arms have their turn."""
            pause()
    return Classifier()


def in_slices(loop: Callable[[Callable[[], None]], None]) -> Arm:
    """Return an arm of a loop that is not ours to cut: it has a thread and waits there whenever it calls `pause`."""
    go, done = threading.Semaphore(0), threading.Semaphore(0)
    failures: list[BaseException] = []

    def pause() -> None:
        done.release()
        go.acquire()

    def work() -> None:
        go.acquire()
        torch.set_num_threads(1)  # a thread has its own setting
        try:
            loop(pause)
        except BaseException as failure:
            failures.append(failure)
        done.release()

    def slice_of_it() -> None:
        go.release()
        done.acquire()
        if failures:
            raise failures[0]
    threading.Thread(target=work, daemon=True).start()
    return slice_of_it


def peers(build: Callable[[], nn.Module], images: tuple[Tensor, Tensor], batch_size: int, padding: int,
          scale: tuple[Sequence[float], Sequence[float]]) -> Iterator[tuple[str, Arm | None]]:
    """Yield each peer by name, with None where it is not installed.

    Args:
        build: Builds the model anew.
        images: Images and labels of an epoch.
        batch_size: Images a step.
        padding: Pixels around an image before it is cut out.
        scale: Mean and standard deviation of each channel.
    """
    move, finish = moved(images[0].shape[-1], padding), to_normalized(*scale)
    makers: dict[str, Callable[[], Arm]] = {
        "DataLoader + v2": lambda: plain_loop(build(), Pictures(*images), batch_size, [*move, *finish]),
        "Lightning": lambda: lightning_loop(build(), Pictures(*images), batch_size, [*move, *finish]),
        "timm": lambda: timm_loop(build(), Pictures(*images), batch_size, move, scale)}
    for name, make in makers.items():
        try:
            yield name, make()
        except ModuleNotFoundError:
            yield name, None
