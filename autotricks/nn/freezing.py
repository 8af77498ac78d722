"""Training a part of the model: what tricks share that freeze the rest."""
from __future__ import annotations

from collections.abc import Set

from ..core.run import Run
from ..core.trick import Trick
from .classifier import classifier


class Freezing(Trick):
    """What tricks have in common that freeze all but the classifier, or layers near it: what they need and leave."""

    seats = {}

    def check(self, run: Run) -> None:
        """Refuse a model without a classifier."""
        classifier(run.model, run.classes)

    def leave(self, run: Run) -> None:
        """Train all of the model again."""
        run.model.requires_grad_(True)
        run.eval_modules = frozenset()
        run.train()


def freeze(run: Run, trained: Set[str], norms: str = "fixed") -> None:
    """Let only the weights named in `trained` have gradients.

    Where `norms` are `fixed`, batch norms that are not trained keep their statistics and do not depend on the batch;
    one without weights does so until all of the model is trained. Where they are `moving`, statistics go on moving.
    """
    weights = dict(run.model.named_parameters())
    for name, weight in weights.items():
        weight.requires_grad_(name in trained)
    run.eval_modules = frozenset(
        name for name, module in run.model.named_modules()
        if norms == "fixed" and getattr(module, "running_mean", None) is not None
        and not ({f"{name}.{word}" for word, _ in module.named_parameters()} or weights.keys()) <= trained)
    run.train()
