"""Transfer: which way to use pretrained weights, by rules of thumb from the size of the data and a short probe."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.domain import Choice, Value
from ..data import load
from ..errors import InputError
from ..space.load import LoadedSpace
from ..trial import run_trial
from ..tricks.catalog import make

MUCH = 1000     # training images a class: as many as ImageNet has, from which most weights come
ALIKE = 0.5     # share of a random network's errors that the weights' features avoid
SEEDS = 3       # random networks; on digits one reaches 81 %, another 90 %
STEPS = 100     # optimizer steps of a probe at least, where one epoch has fewer
BATCH = 64      # images a step where the space says max
TRICK = "pretrained"


@dataclass(frozen=True)
class Advice:
    """What a probe of one file of weights found, and the rule of thumb for it.

    Args:
        weights: The file.
        per_class: Training images a class, on average.
        epochs: Length of each probe.
        found: Validation accuracy of a classifier trained alone on features of these weights.
        random: The same on features of random weights, the best of three networks.
    """

    weights: str
    per_class: float
    epochs: int
    found: float
    random: float

    @property
    def avoided(self) -> float:
        """Share of the errors on random features that these features avoid; 0 where they are no better."""
        return max(0.0, (self.found - self.random) / (1 - self.random)) if self.random < 1 else 0.0

    @property
    def much(self) -> bool:
        """Whether the data is large."""
        return self.per_class >= MUCH

    @property
    def alike(self) -> bool:
        """Whether the data is like that of the weights, as far as a linear classifier can tell."""
        return self.avoided >= ALIKE

    @property
    def rule(self) -> str:
        """The rule of thumb in words, with the tricks that follow it."""
        return {(False, True): "train the classifier alone: linear_probe",
                (False, False): "train from scratch: weights ''; usual practice says otherwise, so search both",
                (True, True): "train all of it from these weights; freeze nothing",
                (True, False): "train all of it, from these weights or from scratch; freeze nothing"}[
                    self.much, self.alike]


def advise(loaded: LoadedSpace, trust: bool = False) -> list[Advice]:
    """Probe each file of weights that a space names and return the advice for it.

    A probe trains the classifier alone, as the trick `linear_probe`, for one epoch or as many as 100 steps take, on
    features of three random networks and on those of each file.

    Raises:
        InputError: When the space names no weights.
        ModelError: When weights do not fit the model.
    """
    entry = next((entry for entry in loaded.space.entries if entry.name == TRICK), None)
    domain = entry.domains.get("weights") if entry else None
    options: tuple[Value, ...] = ()
    if isinstance(domain, Choice):
        options = domain.options
    elif entry:
        options = (entry.fixed.get("weights", ""),)
    files = [str(option) for option in options if option]
    if not files:
        raise InputError(f"{loaded.document.name}: names no weights to probe. Set tricks.{TRICK}.weights to a file, "
                         "or to a choice of several.")
    data = load(loaded.document.data.settings(), trust).dataset
    size = BATCH if loaded.fits else loaded.space.frame.batch_size
    epochs = math.ceil(STEPS / max(1, len(data.train) // size))
    frame = replace(loaded.space.frame, epochs=epochs, batch_size=size)
    accuracies = [_probe(frame, data, file, trust) for file in files]
    random = max(_probe(replace(frame, seed=seed), data, "", trust) for seed in range(SEEDS))
    per_class = len(data.train) / len(data.classes)
    return [Advice(file, per_class, epochs, score, random) for file, score in zip(files, accuracies)]


def _probe(frame: Bundle, data: Dataset, weights: str, trust: bool) -> float:
    """Return the validation accuracy of a classifier trained alone on features of the weights."""
    uses = make(TRICK, {"weights": weights}), make("linear_probe", {}), make("cosine", {})
    return run_trial(replace(frame, uses=uses), data, trust=trust).metrics["val/accuracy"]
