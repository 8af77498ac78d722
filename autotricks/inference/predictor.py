"""Predictor: an exported bundle and its weights, as something that names what is on a picture."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..core.dataset import Dataset
from ..core.images import chunk
from ..core.run import Run
from ..core.slots import Predict, Slot
from ..core.targets import Targets
from ..core.task import UNFITTED, Answer, Fitted, Task
from ..core.traits import DataTrait
from ..data import Settings
from ..errors import BundleError, DataError
from ..export import BUNDLE, WEIGHTS, read_weights
from ..export.bundle import read
from ..export.pixels import Pixels
from ..nn.fusing import fuse
from ..tasks import find as find_task
from ..trainer.pipeline import fold
from ..tricks.catalog import bundle_from, plan_of
from .preprocessing import Preprocessing


class Predictor:
    """Maps images to class probabilities, preprocessing included.

    Args:
        document: What `champion.yaml` holds.
        weights: The model's weights and buffers, by name.
        trust: Whether a model of the form `my.module:function` may be imported.
        device: Where to predict.

    Attributes:
        classes: Names, in the order of the probabilities.
        shape: (D, H, W) of an image.
        statistics: Mean and standard deviation of each channel in [0, 1].
        fitted: What goes with the weights beside them, such as a threshold for each class; by name.
        preprocessing: Files to the pixels that are predicted from.
    """

    def __init__(self, document: Mapping[str, Any], weights: Mapping[str, Tensor], trust: bool = False,
                 device: torch.device | str = "cpu"):
        images = document["images"]
        self.classes = list(document["classes"])
        self.preprocessing = Preprocessing.of(document)
        self.shape = self.preprocessing.shape
        self.statistics = tuple(images["mean"]), tuple(images["std"])
        self._mean, self._std = (torch.tensor(images[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))
        task = find_task(document.get("data", {}).get("task", Settings.task))
        plan = plan_of(bundle_from(document), task)
        model: nn.Module = task.build(document["model"]["name"], len(self.classes), self.shape, trust).to(device)
        nothing = torch.zeros(len(self.classes), device=device)
        run = Run(model, torch.empty(0, *self.shape, dtype=torch.uint8), Targets.plain(nothing.long()[:0]), nothing,
                  self._mean, self._std, task, self.shape, plan.bundle.batch_size, plan.bundle.epochs, 1,
                  torch.device(device), torch.Generator(device))
        self._model = run.model = fold(plan.once, Slot.MODEL, model, run)
        self._model.load_state_dict(weights)
        self._model.eval()
        self._plan = plan
        self._run = run
        self._task = task
        self.fitted: Fitted = document.get("result", {}).get("fitted", UNFITTED)
        self._logits = fold(plan.once, Slot.PREDICT, self._model, run)

    @classmethod
    def load(cls, folder: Path, trust: bool = False, device: torch.device | str = "cpu") -> Predictor:
        """Return the predictor of a folder that holds `champion.yaml` and `champion.safetensors`.

        Raises:
            RunError: When a file is missing or damaged.
        """
        document = read(folder / BUNDLE)
        return cls(document, read_weights(folder / WEIGHTS, document["result"].get("weights", "")), trust, device)

    @property
    def task(self) -> Task:
        """What it has learned."""
        return self._task

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class, or the objects that are found; see the task's `decode`.

        Shapes:
            images: [N, H, W, D] or, with one channel, [N, H, W]; uint8.
            returns: [N, C], float32, or what else the task decodes.

        Raises:
            DataError: When the images are not of the shape that the model was trained on.
        """
        array = np.asarray(images)
        array = array[..., None] if array.ndim == 3 else array
        depth, height, width = self.shape
        if array.shape[1:] != (height, width, depth) or array.dtype != np.uint8:
            raise DataError(f"images: got {array.dtype} of shape {tuple(array.shape)}; expected uint8 of shape "
                            f"(N, {height}, {width}, {depth}).")
        # in one memory layout and in the pieces that training evaluates: other ones round differently
        parts = torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2).split(chunk(self.shape))
        laid = (part.clone(memory_format=torch.contiguous_format).to(self._mean.device) for part in parts)
        with torch.inference_mode():        # what is decoded is smaller than what it was decoded from
            decoded = [self._task.decode(self.logits(part.float() / 255)).cpu() for part in laid]
            answer: NDArray[np.float32] = torch.cat(decoded).numpy()
        return answer

    @property
    def finds_objects(self) -> bool:
        """Whether answers have places."""
        return DataTrait.BOXES in self._task.brings

    @property
    def limits(self) -> dict[str, float]:
        """Probability of an object of each class, from which on it is told: what was fitted on validation, or 0."""
        nothing = [0.0] * len(self.classes)
        fitted = next((self.fitted[name] for name in self._task.fits if name in self.fitted), nothing)
        return dict(zip(self.classes, fitted, strict=True))

    def answers(self, decoded: NDArray[np.float32], topk: int = 1, sizes: Sequence[tuple[int, int]] | None = None,
                least: float | None = None) -> list[Answer]:
        """Return, of each image, what a person is told of it: of classes, the `topk` most probable.

        Args:
            decoded: Of `predict`.
            topk: How many classes.
            sizes: Height and width of each image before it was brought to the model's size, in whose pixels places are
                told then; without, in those of what the model took.
            least: Probability from which on objects are told, in place of what was fitted.
        """
        told = torch.from_numpy(decoded)
        if sizes is not None:
            told = self._task.placed(told, [self.preprocessing.back(size) for size in sizes])
        fitted = self.fitted if least is None else {name: [least] * len(self.classes) for name in self._task.fits}
        return self._task.answers(told, self.classes, topk, fitted)

    def columns(self, topk: int = 1) -> list[str]:
        """Return the columns of the answers."""
        return list(self._task.answers(self._task.blank(len(self.classes)), self.classes, topk, self.fitted)[0])

    def logits(self, images: Tensor) -> Tensor:
        """Return logits, [N, C], of images in [0, 1], [N, D, H, W], on the device."""
        logits: Tensor = self._logits((images - self._mean) / self._std)
        return logits

    def pixels(self) -> Pixels:
        """Return all of it as one module, from uint8 images [N, D, H, W] to probabilities, fused for production."""
        plain = fuse(self._model).requires_grad_(False)
        logits = fold(self._plan.once, Slot.PREDICT, plain, replace(self._run, model=plain))
        return Pixels(plain, logits, self._task.decode, self._mean, self._std)


def teacher(address: str, dataset: Dataset, device: torch.device | str = "cpu", trust: bool = False) -> Predict:
    """Return a trained model that maps images, normalized as `dataset` says, to logits; nothing is learned through it.

    Args:
        address: A folder that holds a bundle and its weights, or that bundle file.
        dataset: What the student learns: classes and image shape must be the teacher's.
        device: Where to predict.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        RunError: When nothing usable is there.
        BundleError: When the teacher knows other classes or other images.
    """
    predictor = _load_teacher(address, trust, str(device))
    for what, theirs, ours in (("classes", tuple(predictor.classes), dataset.classes),
                               ("image shape", tuple(predictor.shape), dataset.image_shape)):
        if theirs != ours:
            raise BundleError(f"teacher: {address} has the {what} {theirs}, the data has {ours}. "
                              "Take a teacher that was trained on this data.")
    mean, std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (dataset.mean, dataset.std))

    def taught(images: Tensor) -> Tensor:
        with torch.no_grad():
            return predictor.logits(images * std + mean)
    return taught


@lru_cache(maxsize=4)
def _load_teacher(address: str, trust: bool, device: str) -> Predictor:
    """Load a teacher once for all trials of a process."""
    path = Path(address).expanduser()
    return Predictor.load(path.parent if path.suffix in (".yaml", ".yml") else path, trust, device)
