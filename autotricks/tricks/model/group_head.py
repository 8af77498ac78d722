"""Group head: learn the group of a class beside the class."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.batch import Batch
from ...core.domain import Choice, Float, Text, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Model, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...io.class_hierarchy import groups
from ...nn.classifier import classifier

NAME = "group_head"


class _Groups(nn.Module):
    """A linear classifier of groups, beside the model's own; the group of each class lies in it."""

    of_class: Tensor

    def __init__(self, of_class: list[int], width: int, generator: torch.Generator):
        super().__init__()
        count = max(of_class) + 1
        bound = width ** -0.5
        device = generator.device
        self.weight, self.bias = (nn.Parameter(torch.empty(shape, device=device).uniform_(
            -bound, bound, generator=generator)) for shape in ((count, width), (count,)))
        self.register_buffer("of_class", torch.tensor(of_class, device=device))
        self.register_load_state_dict_pre_hook(_as_many)  # type: ignore[no-untyped-call]

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what comes in: the model may be a sequence, which goes through all that it holds."""
        return hidden

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy at the group of each label, [B, K], from features, [B, F], and labels, [B, K]."""
        logits = F.linear(features, self.weight, self.bias)
        return -torch.log_softmax(logits, 1).gather(1, self.of_class[labels])


def _as_many(head: nn.Module, state: Mapping[str, Tensor], prefix: str, *rest: object) -> None:
    """Make a head as wide as weights to be loaded: where a trained model is used, the file of groups need not be."""
    for name in ("weight", "bias"):
        if f"{prefix}{name}" in state:
            parameter = head.get_parameter(name)
            device = head.get_buffer("of_class").device
            parameter.data = torch.empty_like(state[f"{prefix}{name}"], device=device)


class GroupHead(Trick):
    """Minimize loss + `weight` * cross-entropy of the class's group, by a second classifier of the same features.

    Groups of classes, such as the families of products, are those of the file `hierarchy`: its first line is
    `class,group`, and each other names a class by its number, from 0 on in the order of the data's classes, and its
    group. Without a file all classes are one group, which teaches nothing. Prediction is of classes as ever; a mixture
    of labels is the same mixture of groups.

    Paper: Caruana 1997, https://doi.org/10.1023/A:1007379606734, multi-task learning; two heads, for product and group,
        are a practice of challenges on Products-10K, Bai et al. 2020, https://arxiv.org/abs/2008.10545.
    Cost: one more classifier, of as many outputs as there are groups.

    Raises:
        DataError: When the file cannot be read or does not give each class a group, with a line for each problem.
        ModelError: When the model has no classifier.
    """

    seats = {Slot.MODEL: "block", Slot.LOSS: "term"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    reads_features = True
    hierarchy: str = tunable("", search=Choice(""), legal=Text(
        "a CSV file of the columns class and group", "table"))
    weight: float = tunable(1.0, search=Float(0.1, 1.0), legal=at_least(0), unit="group losses to one loss")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model, which now has a classifier of groups; without training images it waits for weights."""
        of_class = [0] * run.classes
        if self.hierarchy and len(run.images):
            names = [str(number) for number in range(run.classes)]
            of_class = groups(Path(self.hierarchy).expanduser(), names, f"{self.name}.hierarchy")
        width = inner.get_parameter(f"{classifier(inner, run.classes)}.weight").shape[1]
        inner.add_module(NAME, _Groups(of_class, width, run.generator))
        return inner

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss of class and group."""
        head = next(module for module in run.model.modules() if isinstance(module, _Groups))

        def both(logits: Tensor, batch: Batch) -> Tensor:
            if batch.features is None:
                raise TypeError("group_head reads the features of a batch, which the pipeline notes")
            return inner(logits, batch) + self.weight * batch.mix(head.loss(batch.features, batch.targets.labels))
        return both
