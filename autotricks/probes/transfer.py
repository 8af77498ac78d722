"""Transfer: which weights to begin with and how, by a classifier trained on the features of each."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.traits import DataTrait
from ..data import load
from ..errors import InputError
from ..functional.label_sets import class_shares
from ..functional.ranking_metrics import rank_metrics
from ..space import models
from ..space.load import LoadedSpace
from ..space.weights import wanted, with_weights
from ..trial import prepare, run_trial
from ..tricks.catalog import make

MUCH = 1000     # training images a class: as many as ImageNet has, from which most weights come
ALIKE = 0.5     # share of a random network's errors that the weights' features avoid
SEEDS = 3       # random networks, of which the best counts
LOOKED = 5000   # training images of a probe at most
STRENGTHS = (0.01, 0.1, 1.0, 10.0)      # inverse of the classifier's regularization; the best on validation counts
ROUNDS = 200    # of its solver at most


@dataclass(frozen=True)
class Advice:
    """What a probe of one model's weights found, and the rule of thumb for it.

    Args:
        model: As the space names it.
        weights: `default`, the published ones, or a file.
        per_class: Training images a class, on average.
        accuracy: On validation, of a classifier trained alone on features of these weights; of sets of labels it is
            mean average precision.
        random: The same on features of random weights, the best of three networks.
    """

    model: str
    weights: str
    per_class: float
    accuracy: float
    random: float

    @property
    def avoided(self) -> float:
        """Share of the errors on random features that these features avoid; 0 where they are no better."""
        return max(0.0, (self.accuracy - self.random) / (1 - self.random)) if self.random < 1 else 0.0

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
    """Probe the weights that a space names for each of its models, and return the advice for them, the best first.

    A probe computes the features of each image once and fits a linear classifier to them, on features of three random
    networks and on those of the weights.

    Raises:
        InputError: When the space names no weights, or they cannot be had.
        ModelError: When weights do not fit the model.
    """
    if not wanted(loaded):
        raise InputError(f"{loaded.document.name}: names no weights to probe. Set model.pretrained: true, or "
                         f"tricks.{models.TRICK}.weights to a file or to a choice of several.")
    loaded, weights = with_weights(loaded)
    data = load(loaded.document.data.settings(), trust).dataset
    return probe(loaded, replace(data, weights=weights), trust)


def probe(loaded: LoadedSpace, data: Dataset, trust: bool = False) -> list[Advice]:
    """Return the advice for each model and its weights, which the data set holds, the best first; see `advise`."""
    per_class = len(data.train) / len(data.classes)
    advices = []
    for model in loaded.space.models:
        frame = replace(loaded.space.frame, model=model)
        random = max(_accuracy(replace(frame, seed=seed), data, "", trust) for seed in range(SEEDS))
        advices += [Advice(model, value, per_class, _accuracy(frame, data, value, trust), random)
                    for value in wanted(loaded)]
    return sorted(advices, key=lambda advice: -advice.accuracy)


def ranked(loaded: LoadedSpace, data: Dataset, trust: bool = False) -> tuple[LoadedSpace, str]:
    """Return a space with its models in the order of what a classifier makes of their features, and that in words.

    Baseline and start bundles have the first; which is best when all of it is trained the search finds out.
    """
    best: dict[str, float] = {}
    for model in loaded.space.models:
        frame = replace(loaded.space.frame, model=model)
        best[model] = max(_accuracy(frame, data, value, trust) for value in wanted(loaded))
    order = sorted(best, key=lambda model: -best[model])
    told = ", ".join(f"{model} {best[model]:.1%}" for model in order)
    return loaded.ordered(order), (f"on validation, a classifier alone reaches on features of {told}; start bundles "
                                   "have the first")


def _accuracy(frame: Bundle, data: Dataset, weights: str, trust: bool) -> float:
    """Return what a classifier alone reaches on features of the weights: accuracy or, for sets, average precision."""
    bundle = replace(frame, uses=(make(models.TRICK, {models.WEIGHTS: weights}), make("linear_probe", {})), epochs=1)
    trainer = prepare(bundle, data, trust=trust)
    trainer.enter(trainer.plan.phases[0])
    if trainer.frozen is None:      # its logits do not follow from features alone
        return run_trial(bundle, data, trust=trust).metrics[f"val/{data.task.train_metrics[0]}"]
    rows = torch.arange(len(data.train))
    if len(rows) > LOOKED:
        rows = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:LOOKED]
    train, validation = trainer.frozen.splits(data)
    assert isinstance(train.images, Tensor) and isinstance(validation.images, Tensor)
    features = train.images[rows].numpy()
    if DataTrait.ONE_LABEL not in data.task.brings:
        classes = len(data.classes)
        return _separated(features, class_shares(data.train.targets[rows], classes).numpy() > 0,
                          validation.images.numpy(), class_shares(data.validation.targets, classes) > 0)
    return _fitted(features, data.train.targets.single[rows].numpy(), validation.images.numpy(),
                   data.validation.targets.single.numpy())


def _fitted(train: NDArray[np.float32], labels: NDArray[np.int64], validation: NDArray[np.float32],
            truth: NDArray[np.int64], strengths: Sequence[float] = STRENGTHS) -> float:
    """Return the accuracy of the best of a few logistic regressions on features of unit variance."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    return max(float(make_pipeline(scaler, LogisticRegression(C=strength, max_iter=ROUNDS))
                     .fit(train, labels).score(validation, truth)) for strength in strengths)


def _separated(train: NDArray[np.float32], truth: NDArray[np.bool_], validation: NDArray[np.float32],
               known: Tensor, strengths: Sequence[float] = STRENGTHS) -> float:
    """Return the mean average precision of the best of a few logistic regressions, one a class, on such features.

    Shapes:
        truth: [N, C], of the training images.
        known: [M, C], bool, of validation.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    learned = np.flatnonzero(truth.any(0) & ~truth.all(0))      # a class that all or none have tells nothing
    best = 0.0
    for strength in strengths:
        scores = torch.zeros(known.shape)
        for place in learned:
            model = make_pipeline(scaler, LogisticRegression(C=strength, max_iter=ROUNDS)).fit(train, truth[:, place])
            scores[:, place] = torch.from_numpy(model.decision_function(validation))
        best = max(best, float(rank_metrics(scores, known).average_precision.nanmean()))
    return best
