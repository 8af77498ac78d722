"""Weights: what a model begins with when it does not begin at random, and what is known of it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

DEFAULT = "default"     # the weights that the model's name says, in place of a file's path


@dataclass(frozen=True, eq=False)
class Weights:
    """Trained weights by name, read once for all trainings that begin with them.

    Args:
        source: Where they come from: a repository of the hub, an address, or a file.
        tensors: As the file has them.
        sha256: Of the file.
        revision: Commit of the repository; empty where there is none.
        licence: As the source states it; empty where it states none.
        mean: Of each channel in [0, 1], which images must be normalized with; empty where nothing is known.
        std: Standard deviation of each channel; empty where nothing is known.
    """

    source: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    sha256: str = ""
    revision: str = ""
    licence: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def facts(self) -> dict[str, str]:
        """Return what must be known to find them again, and under which terms they may be used."""
        return {"source": self.source, "sha256": self.sha256, "revision": self.revision, "licence": self.licence}

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return mean and deviation for images of so many channels; None where nothing is known.

        A gray image has the mean of the three.
        """
        if not self.mean:
            return None
        if len(self.mean) == channels:
            return self.mean, self.std
        return ((sum(self.mean) / len(self.mean),) * channels, (sum(self.std) / len(self.std),) * channels)


def key(model: str, weights: str) -> str:
    """Return under which name trainings share weights: the model's, less its arguments, or a file's path.

    Args:
        model: As a bundle names it.
        weights: `default`, or a path.
    """
    return model.partition("?")[0] if weights == DEFAULT else weights
