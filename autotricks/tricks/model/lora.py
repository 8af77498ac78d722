"""LoRA: train a matrix of low rank beside each weight matrix, which stays as it is."""
from __future__ import annotations

import copy
from functools import cache

import torch
from torch import Tensor, nn

from ...core.domain import Above, Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Gradients, Model, Slot
from ...core.traits import Trait
from ...errors import ModelError
from ...nn.classifier import classifier, head_weights
from ...nn.freezing import Freezing, freeze
from ...nn.fusing import Fusible

ADAPTERS = ("lora_a", "lora_b")


def adapted(weight: Tensor, lora_a: Tensor, lora_b: Tensor, scale: float) -> Tensor:
    """Return weight + scale * B A, where a kernel counts as a row for each output.

    Shapes:
        weight: [F, D] or [F, D, h, w].
        lora_a: [r, D h w].
        lora_b: [F, r].
        returns: as the weight.
    """
    return weight + scale * (lora_b @ lora_a).view_as(weight)


class _LowRank(Fusible):
    """What a layer is that has adapters: its weight is that which is adapted, whoever reads it."""

    lora_scale: float
    lora_a: Tensor
    lora_b: Tensor

    @property
    def weight(self) -> Tensor:
        """The weight with what was learned beside it."""
        base = self._parameters["weight"]
        assert base is not None
        return adapted(base, self.lora_a, self.lora_b, self.lora_scale)

    def fused(self) -> nn.Module:
        """Return the layer as it was, with the weight that was learned."""
        plain = copy.deepcopy(self)
        with torch.no_grad():
            weight = self.weight.clone()
        for name in ADAPTERS:
            delattr(plain, name)
        plain.__class__ = type(self).__bases__[1]
        plain.weight = nn.Parameter(weight)  # type: ignore[misc]
        return plain


@cache
def _low_rank(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (_LowRank, kind), {})


class Lora(Freezing):
    """Train W + `alpha` / `rank` * B A in place of each weight W, with A and B of `rank` rows and columns; freeze W.

    B begins at 0, so that the network begins as it was. The classifier is trained whole, and all else is frozen; batch
    norm keeps its statistics. `layers` says which weights: those of `attention`, of all `linear` layers, or `all`, with
    those of convolutions, of which a kernel counts as a row. The class of a layer is replaced, not the layer: names of
    weights stay, and what is handed over for production has the sum as its plain weight.

    Paper: Hu et al. 2022, https://arxiv.org/abs/2106.09685, section 4.1, equation 3.
    Cost: the product B A of each layer and micro-batch; no gradients, momentum and decay of all that is frozen.
    Deviates: no dropout before A; what torch.nn.MultiheadAttention holds without a layer has no adapter. PEFT,
        https://github.com/huggingface/peft, is not used because it imports transformers, which takes seconds; A is
        drawn as it draws it.

    Raises:
        ModelError: When the model has no classifier, or no such layer below it.
    """

    seats = {Slot.MODEL: "block", Slot.GRADIENTS: "freeze"}
    requires = frozenset({Trait.PRETRAINED})
    rank: int = tunable(4, search=Choice(4, 8, 16, 32), legal=at_least(1), unit="rows of A")
    alpha: float = tunable(8.0, search=Choice(8.0, 16.0, 32.0), legal=Above(0), unit="times B A / rank")
    layers: str = tunable("all", search=Choice("all", "linear", "attention"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with adapters beside its weights."""
        head = classifier(inner, run.classes)
        kinds = (nn.Linear, nn.Conv2d) if self.layers == "all" else (nn.Linear,)
        found: list[nn.Module] = [layer for name, layer in inner.named_modules() if isinstance(layer, kinds)
                                  and name != head and (self.layers != "attention" or "att" in name)]
        if not found:
            raise ModelError(f"lora: {type(inner).__name__} has no layer for layers: {self.layers}. Take layers: all, "
                             "or another model.")
        for layer in found:
            weight = layer.get_parameter("weight")
            rows = weight[0].numel()
            lora_a = torch.empty(self.rank, rows, device=run.device)
            lora_a.uniform_(-rows ** -0.5, rows ** -0.5, generator=run.generator)
            layer.lora_a = nn.Parameter(lora_a)
            layer.lora_b = nn.Parameter(torch.zeros(len(weight), self.rank, device=run.device))
            layer.lora_scale = self.alpha / self.rank  # type: ignore[assignment]
            layer.__class__ = _low_rank(type(layer))  # type: ignore[arg-type]
        return inner

    def enter(self, run: Run) -> None:
        """Freeze all but the adapters and the classifier."""
        freeze(run, head_weights(run.model, run.classes).keys() | {
            name for name, _ in run.model.named_parameters() if name.rpartition(".")[2] in ADAPTERS})

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return the gradients, which only adapters and the classifier have."""
        return inner
