"""Stream: images that do not fit in memory, decoded by workers while the model trains."""
from __future__ import annotations

import hashlib
import multiprocessing
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import DataError
from ..system.workers import follow_parent, forking
from .decode import Bad, decode, each, printable, quiet, reason, same_size
from .fitting import Size
from .storage import Stored, stored

WORKERS = 2
PREFETCH = 2


@dataclass(frozen=True)
class Reading:
    """How images are read ahead.

    Args:
        workers: Processes that decode; 0 decodes when a batch is asked for, as processes that may have no children do.
        prefetch: Batches that each worker holds ready.
    """

    workers: int = WORKERS
    prefetch: int = PREFETCH


@dataclass(frozen=True)
class Seen:
    """What is known of an image file after one look.

    Args:
        shape: (D, H, W) as decoded.
        mark: SHA-256 of its pixels.
        color: SHA-256 of its pixels as color, where it is gray.
        sums: Sum of the values and of their squares, by channel.
    """

    shape: tuple[int, ...]
    mark: bytes
    color: bytes
    sums: tuple[tuple[int, int], ...]


def look(place: Path | Stored, size: Size | None, channels: int | None, fit: str = "crop") -> Seen:
    """Decode an image file and return what is known of it then."""
    image = decode(place, size, channels, fit)
    values = image.reshape(len(image), -1).astype(np.int64)
    sums = tuple(zip(values.sum(1).tolist(), (values * values).sum(1).tolist(), strict=True))
    color = np.broadcast_to(image, (3, *image.shape[1:])) if len(image) == 1 else image
    return Seen(image.shape, _mark(image), _mark(color), sums)


def survey(places: Sequence[Path | Stored], size: Size | None, channels: int | None,
           fit: str = "crop") -> list[Seen | Bad]:
    """Look at every file once, in threads; memory holds what is known of them, not the images.

    Raises:
        DataError: When the images are of different sizes.
    """
    results: list[Seen | Bad] = []
    first: tuple[str, tuple[int, ...]] | None = None
    for place, seen in zip(places, each(partial(look, size=size, channels=channels, fit=fit), places)):
        if isinstance(seen, Seen):
            first = first or (printable(place), seen.shape)
            same_size(first, (printable(place), seen.shape))
        results.append(seen)
    return results


class Files(Dataset[Any]):
    """Image files, decoded by lists of rows."""

    def __init__(self, places: Sequence[Path | Stored], shape: tuple[int, int, int], size: Size | None,
                 channels: int | None, fit: str = "crop"):
        self.places = [stored(place) for place in places]
        self.shape = shape
        self._size = size
        self._channels = channels
        self._fit = fit

    def __getitem__(self, rows: Sequence[int]) -> Tensor | Bad:
        """Return images [B, D, H, W], uint8, or the file that can no longer be read: errors lose their words between
        processes.
        """
        batch = np.empty((len(rows), *self.shape), np.uint8)
        with quiet():
            for index, row in enumerate(rows):
                try:
                    batch[index] = decode(self.places[row], self._size, self._channels, self._fit)
                except Exception as error:
                    return Bad(printable(self.places[row]), reason(error))
        return torch.from_numpy(batch)


class Streamed:
    """Images of a split that stay in their files.

    Args:
        files: All files of the source.
        seen: What is known of each.
        rows: Which of the files these are, [N].
        reading: How to read ahead.
        device: Where images go that are read.
    """

    def __init__(self, files: Files, seen: Sequence[Seen], rows: Tensor, reading: Reading = Reading(),
                 device: torch.device | str = "cpu"):
        self._files = files
        self._seen = seen
        self._rows = rows
        self._reading = reading
        self.device = torch.device(device)
        self.shape = torch.Size((len(rows), *files.shape))
        self._loader: DataLoader[Any] | None = None
        self._order: list[list[int]] = []
        self._asked: deque[Tensor] = deque()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    @property
    def paths(self) -> list[str]:
        """The files that hold the images, for each image one."""
        return [self._files.places[row].file for row in self._rows.tolist()]

    def numel(self) -> int:
        """Return the number of values."""
        return self.shape.numel()

    @overload
    def __getitem__(self, rows: Tensor) -> Tensor: ...
    @overload
    def __getitem__(self, rows: slice) -> Streamed: ...

    def __getitem__(self, rows: Tensor | slice) -> Tensor | Streamed:
        """Return images, uint8 [B, D, H, W], on the device; what was announced has been read by then."""
        if isinstance(rows, slice):
            return self.subset(torch.arange(len(self))[rows])
        if self._asked and rows is self._asked[0]:
            self._asked.popleft()
            return self._arrived(next(self._batches))
        return self._arrived(self._files[self._rows[rows.cpu()].tolist()])

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield all images in their order, `size` at a time."""
        images = self.subset(torch.arange(len(self))) if self._asked else self     # training's order is not disturbed
        batches = torch.arange(len(self)).split(size)
        images.announce(batches)
        for rows in batches:
            yield images[rows]

    def to(self, device: torch.device | str) -> Self:
        """Return the images for a device."""
        if torch.device(device) == self.device:
            return self     # with its workers, if they are up
        return type(self)(self._files, self._seen, self._rows, self._reading, device)

    def subset(self, rows: Tensor) -> Self:
        """Return some of the images."""
        return type(self)(self._files, self._seen, self._rows[rows.cpu()], self._reading, self.device)

    def joined(self, other: Self) -> Self:
        """Return these images and then others of the same files."""
        return type(self)(self._files, self._seen, torch.cat([self._rows, other._rows]), self._reading, self.device)

    def announce(self, batches: Sequence[Tensor]) -> None:
        """Let the workers read batches, in this order, that will be asked for by these very tensors."""
        sizes = [len(rows) for rows in batches]
        rows = self._rows[torch.cat(list(batches)).cpu()] if batches else self._rows[:0]    # one wait for the device
        self._order[:] = [part.tolist() for part in rows.split(sizes)]
        self._asked = deque(batches)
        first = self._loader is None
        self._loader = self._loader or self._new_loader()
        self._batches = iter(self._loader)
        if first:   # so that workers outlive a cycle that this is in: collected with it, they would not hear of the end
            weakref.finalize(self, list.clear, [self._batches])

    def marks(self) -> list[bytes]:
        """Return the SHA-256 of the pixels of each image."""
        gray = self.shape[1] == 1
        return [self._seen[row].mark if gray else self._seen[row].color for row in self._rows.tolist()]

    def sums(self) -> list[tuple[int, int]]:
        """Return the sum of the values and of their squares by channel, over all images."""
        totals = [[0, 0] for _ in range(self.shape[1])]
        for row in self._rows.tolist():
            for channel, total in enumerate(totals):
                first, second = self._seen[row].sums[min(channel, len(self._seen[row].sums) - 1)]
                total[0] += first
                total[1] += second
        return [(first, second) for first, second in totals]

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: workers and what they hold stay here."""
        kept = {name: value for name, value in self.__dict__.items() if name != "_batches"}
        return {**kept, "_loader": None, "_order": [], "_asked": deque()}

    def _new_loader(self) -> DataLoader[Any]:
        workers = 0 if multiprocessing.current_process().daemon else self._reading.workers
        return DataLoader(self._files, batch_size=None, sampler=self._order, num_workers=workers,
                          prefetch_factor=self._reading.prefetch if workers else None, persistent_workers=workers > 0,
                          multiprocessing_context=forking() if workers else None, worker_init_fn=_follow,
                          pin_memory=self.device.type == "cuda",
                          generator=torch.Generator())  # its own: torch's numbers are those of training in memory

    def _arrived(self, batch: Tensor | Bad) -> Tensor:
        if isinstance(batch, Bad):
            raise DataError(f"data.source: {batch.path} could be read before and cannot now: {batch.reason}. "
                            "Restore it.")
        return batch.to(self.device, non_blocking=True)


def _follow(_: int) -> None:
    """End with the process that reads, which may be killed: torch looks for it every few seconds alone."""
    follow_parent()


def _mark(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()
