"""Engine: what carries out the trainings of a search, and of what comes after it."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ...core.dataset import Dataset
from ...runs.trial import Outcome, RungPlan, Training
from ...space.document import SpaceDocument
from ..search import Search

RETRIES = 2     # of a training whose process died
Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainingOptions:
    """With what one training is carried out.

    Args:
        cpus: Cores.
        gpus: GPUs, or a share of one.
        patience: Seconds within which an epoch must end.
        trust: Whether a model of the form `my.module:function` may be imported.
    """

    cpus: float = 1
    gpus: float = 0
    patience: float = RungPlan.patience
    trust: bool = False

    @classmethod
    def of(cls, document: SpaceDocument, trust: bool = False) -> TrainingOptions:
        """Return what a space gives a training."""
        return cls(document.resources.cpus, document.resources.gpus, document.search.patience, trust)

    @property
    def threads(self) -> int:
        """Of one training."""
        return max(1, int(self.cpus))

    def whole(self, training: Training) -> RungPlan:
        """Return the plan of a training that has one rung, at its end."""
        return RungPlan((training.bundle.epochs,), device="cuda" if self.gpus else "cpu", trust=self.trust,
                        patience=self.patience, fold=training.fold)


class Engine(Protocol):
    """Carries out trainings. Nothing that it decides changes what a search proposes or which trials go on."""

    def run(self, search: Search, dataset: Dataset, folder: Path, slots: int) -> int:
        """Run a search to its end and return how many trials ran at a time.

        Args:
            search: Proposes trials and says how each goes on.
            dataset: Train and validation.
            folder: Of the run.
            slots: Trials at a time that the space asks for.

        Raises:
            EngineError: When the engine gives up; what had finished is in the ledger.
        """

    def retrain(self, trainings: Sequence[Training], dataset: Dataset,
                slots: int) -> Iterator[tuple[Training, Outcome]]:
        """Yield each training with what it reached, as it is done.

        Args:
            trainings: What to train. All share one data set, of which each takes its fold.
            dataset: Train and validation, with the folds that the trainings name.
            slots: Trainings at a time that are asked for.

        Raises:
            EngineError: When a training's process died again and again, for want of memory or of patience.
        """

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function where a trial would run."""
