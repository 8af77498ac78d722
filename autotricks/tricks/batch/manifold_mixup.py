"""Manifold mixup: mix the hidden states of a layer, and the labels with them."""
from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ...core.batch import Batch
from ...core.domain import Above, Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Model, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Advice, Trick
from ...errors import ModelError
from ...functional.sampling import beta
from ...nn.stages import pooling, stages


def flipped(hidden: Tensor, keep: Tensor) -> Tensor:
    """Return keep * sample + (1 - keep) * partner, where the first is the last one's partner; keep is [1]."""
    return hidden.lerp(hidden.flip(0), (1 - keep).to(hidden.dtype))


def layers(model: nn.Module) -> list[nn.Module]:
    """Return the modules after which states can be mixed, first to last: the stages of the model, then its pooling."""
    known = stages(model)
    if not known:
        raise ModelError(f"manifold_mixup: {type(model).__name__} has no stages that it knows: neither timm's "
                         "feature_info nor layer1, layer2, `layers`, `blocks`, `stages` or `features`. Take mixup.")
    return known + pooling(model)


class _Mixing(nn.Module):
    """What hooks are to mix in the next forward passes; without weights and buffers, so no state dict shows it."""

    keep: tuple[Tensor, ...] = ()
    sizes: frozenset[int] = frozenset()
    attached = False

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what comes in: the model may be a sequence, which goes through all that it holds."""
        return hidden

    def __deepcopy__(self, memo: object) -> _Mixing:
        """Return one that mixes nothing: no batch is paired for a copy of the model, such as its average."""
        return _Mixing()

    def attach(self, modules: list[nn.Module], first: int) -> None:
        """Mix what these modules return, from number `first` on, once and for all; the first module is number 1."""
        for number, module in enumerate(modules, start=1):
            if number >= first and not self.attached:
                module.register_forward_hook(partial(self._mixed, number))
        self.attached = True

    def _mixed(self, number: int, module: nn.Module, given: object, hidden: Tensor) -> Tensor:
        if isinstance(hidden, (tuple, list)):   # beside the states, timm's MViT tells their size
            return type(hidden)(self._mixed(number, module, given, part) if isinstance(part, Tensor) else part
                                for part in hidden)
        if not (self.training and self.keep):
            return hidden
        if len(hidden) not in self.sizes:
            raise torch.OutOfMemoryError(f"manifold_mixup paired images within {max(self.sizes)}; they cannot be mixed "
                                         f"{len(hidden)} at a time. Lower training.batch_size.")
        return flipped(hidden, self.keep[number])


class ManifoldMixup(Trick):
    """Mix the output of a layer of the network, by default a random one, and the targets in the same proportion.

    The layer is drawn for each batch from `shallowest` to `deepest`: 0 is the input, where this is mixup, 1 and 2 are
    the first stages of a model, or thirds of the blocks of a transformer; one with fewer has its pooling for the last.
    Where `shallowest` is no less than `deepest`, that layer alone is mixed: Zhang et al. 2021,
    https://github.com/zhangyongshun/BagofTricks-LT, mix the pooled features alone; to fine-tune without it hurt them.

    Paper: Verma et al. 2019, https://arxiv.org/abs/1806.05236, section 2.
    Cost: one pass over the hidden states of each layer that may be mixed; twice the labels.
    Deviates: Partners are first and last, second and last but one, ...: rows come in random order. They lie in one
        micro-batch; where memory forces a batch apart after it was paired, the trial ends for want of memory.
    Raises: ModelError when the model has no stages by a known name.
    """

    seats = {Slot.MODEL: "block", Slot.BATCH: "mix"}
    provides = frozenset({Trait.MIXES_LABELS, Trait.MIXES_HIDDEN})
    excludes_data = frozenset({DataTrait.BOXES})     # a detector reads stages before the one that is mixed too
    advice = (Advice(
        Trait.REWEIGHTS, "with cost-sensitive cross-entropy the error on CIFAR-100-LT of factor 100 was 68.2 %",
        "Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT"),)
    alpha: float = tunable(2.0, search=Float(0.1, 2.0), legal=Above(0), unit="Beta concentration")
    shallowest: int = tunable(0, search=Choice(0), legal=Between(0, 5), unit="number of the first layer mixed")
    deepest: int = tunable(2, search=Choice(1, 2, 3), legal=Between(0, 5), unit="number of the last layer mixed")

    def check(self, run: Run) -> None:
        """Refuse a model without stages."""
        layers(run.model)

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with a place for what is to be mixed; names and values of its state stay."""
        inner.add_module("manifold_mixing", _Mixing())
        return inner

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what mixes targets, and images or, in the forward passes to come, hidden states."""
        mixing = next(module for module in run.model.modules() if isinstance(module, _Mixing))
        known = layers(run.model)[:self.deepest]
        first = min(self.shallowest, len(known))
        mixing.attach(known, first)  # only here: other tricks may have put their own modules in place

        def mixed(batch: Batch) -> Batch:
            batch = inner(batch)
            pieces = run.runtime.cut(torch.arange(len(batch), device=run.device))
            partner = torch.cat([piece.flip(0) for piece in pieces])
            keep = beta(self.alpha, self.alpha, 1, run.generator)
            layer = torch.randint(first, len(known) + 1, (1,), generator=run.generator, device=run.device)
            mixing.sizes = frozenset(map(len, pieces))
            mixing.keep = tuple(torch.where(layer == number, keep, 1.0) for number in range(len(known) + 1))
            images = batch.images if first else batch.images.lerp(batch.images[partner], 1 - mixing.keep[0])
            return replace(batch, images=images, targets=batch.targets.blend(partner, keep))
        return mixed
