"""A trial of a search: what is trained, how far, and what it reached."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.bundle import Bundle
from ..core.dataset import Fold
from ..core.reporting import End


@dataclass(frozen=True)
class Trial:
    """One bundle drawn from a space and trained.

    Args:
        number: Place in the search, from 0.
        label: The start bundle's name; empty for a drawn one.
        bundle: What is trained.
        first: The rung to begin with; those below are in the ledger already.
        why: What the sampler tries it for; empty where it has no reason.
        reason: What it failed of; empty where it did not.
    """

    number: int
    label: str
    bundle: Bundle
    first: int = 0
    why: str = ""
    reason: str = ""

    @property
    def protected(self) -> bool:
        """Whether the trial always runs to the end, as start trials do."""
        return bool(self.label)


@dataclass(frozen=True)
class Training:
    """A bundle that is trained to the end, and on which images.

    Args:
        bundle: What is trained.
        fold: That validates while the others train; None for train and validation as the data has them.
    """

    bundle: Bundle
    fold: Fold | None = None

    @property
    def key(self) -> str:
        """What tells it from every other training of a run, and may be part of a file's name."""
        return _key(self.bundle.hash, "" if self.fold is None else str(self.fold))


def training_key(line: Mapping[str, Any]) -> str:
    """Return the key of the training that a ledger's line is of."""
    return _key(line["hash"], line.get("fold", ""))


def _key(digest: str, fold: str) -> str:
    return f"{digest}-fold-{fold.replace(' ', '-')}" if fold else digest


@dataclass(frozen=True)
class RungPlan:
    """What all climbs of a search share.

    Args:
        budgets: Epochs of each rung, rising.
        compressed: Whether each rung trains the whole bundle squeezed into its budget; else a rung is a stretch of
            one long training run.
        device: Where to train.
        trust: Whether the model may be code of the user's.
        patience: Seconds within which an epoch must end.
        together: Whether other ranks, which this process has joined, train the same meanwhile.
        fold: That validates while the others train; None for train and validation as the data has them.
    """

    budgets: tuple[int, ...]
    compressed: bool = True
    device: str = "cpu"
    trust: bool = False
    patience: float = 7200.0
    together: bool = False
    fold: Fold | None = None


@dataclass(frozen=True)
class Outcome:
    """What a trial reached at one rung.

    Args:
        rung: Number of the rung, from 0.
        end: Set where the trial cannot go on: finished, diverged, out of memory.
        metrics: Figures of the last epoch.
        curve: Figures of every epoch since the rung before.
        epochs: Epochs' worth of steps spent for this rung.
        seconds: Wall time of training it.
        weights: The trained model as safetensors, at the last rung alone.
        cpu: Seconds that its process computed meanwhile.
        micro_batches: Pieces into which memory, or a trick, cut each batch.
    """

    rung: int
    end: End | None
    metrics: dict[str, float]
    curve: Sequence[Mapping[str, float]]
    epochs: float
    seconds: float
    weights: Any = field(default=None, repr=False)
    cpu: float = 0.0
    micro_batches: int = 1

    def record(self, training: Training) -> dict[str, Any]:
        """Return what a ledger holds of a whole training; one that broke down has no figures."""
        bundle = training.bundle
        place = {} if training.fold is None else {"fold": str(training.fold)}
        return {"hash": bundle.hash, "seed": bundle.seed, **place, "bundle": bundle.document(),
                "metrics": self.metrics if self.end is End.FINISHED else {}, "curve": self.curve,
                "epochs": self.epochs, "end": self.end.value if self.end else None,
                "seconds": round(self.seconds, 3)}


@dataclass
class Champion:
    """The best trial so far that was trained to the end, with its weights as safetensors."""

    trial: Trial
    score: float
    metrics: dict[str, float]
    weights: bytes = field(default=b"", repr=False)
