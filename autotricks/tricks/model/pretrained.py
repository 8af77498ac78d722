"""Pretrained: begin with weights from a file."""
from __future__ import annotations

from pathlib import Path

import torch

from ...core.domain import Choice, Text, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.pretrained import fitted, read


class Pretrained(Trick):
    """Begin with the weights in the file `weights`; without a file, with the model's own, drawn at random.

    All must fit but the classifier, which is kept where its shape fits and is drawn anew where it does not. Where
    images have another number of channels than the file's, the first convolution treats all of them alike: a gray
    image gives what it gave before. Other tricks of the model act on top; those that make other layers are refused.

    Which way to transfer, after rules of thumb that go by the size of the data and its likeness to that of the file:
    little and alike, `linear_probe`; much and alike, all is trained from these weights; much and unlike, these weights
    or none; little and unlike, the rule says none, against the usual practice. Much data: freeze nothing for good.
    Search it: `weights: {choice: ["", FILE]}` beside `linear_probe`, `gradual_unfreezing` and `layer_decay`. Which rule
    is yours `autotricks check SPACE --probe` says.

    Paper: Yosinski et al. 2014, https://arxiv.org/abs/1411.1792; Kornblith et al. 2019,
        https://arxiv.org/abs/1805.08974.
    Cost: reading the file once a trial.
    Deviates: an exported bundle needs the file no more: it has weights of its own.

    Raises:
        ModelError: When the file is missing, unreadable, or of another architecture.
    """

    seats = {Slot.MODEL: "init"}
    provides = frozenset({Trait.PRETRAINED})
    excludes = frozenset({Trait.NEW_WEIGHTS})
    weights: str = tunable("", search=Choice(""), legal=Text(
        "the path of a .safetensors file or of a state dict that torch.save wrote; empty: the model's own weights",
        "weights"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with these weights."""
        if self.weights and len(run.images):  # without images it is put together to be given trained weights
            path = Path(self.weights).expanduser()
            state = inner.state_dict()
            with torch.no_grad():
                for name, value in fitted(inner, read(path), run.classes, path).items():
                    state[name].copy_(value)
        return inner
