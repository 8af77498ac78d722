"""Pretrained: begin with trained weights."""
from __future__ import annotations

from ...core.domain import Choice, Text, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.pretrained import begin_with


class Pretrained(Trick):
    """Begin with trained `weights`: the published ones of the model, or a file's; without any, with weights at random.

    `default` are those that the name of a model of timm, torchvision or the hub says, such as
    `timm:resnet50.a1_in1k`; `model: {pretrained: true}` in a space means the same. All must fit but the classifier,
    which is kept where its shape fits and is drawn anew where it does not. Where images have another number of channels
    than the weights' own, the first convolution treats all of them alike: a gray image gives what it gave before.
    Position tables are resampled for another size of images. Images are normalized as the published weights were
    trained. Other tricks of the model act on top; those that make other layers are refused.

    Which way to transfer, after rules of thumb that go by the size of the data and its likeness to that of the weights:
    little and alike, `linear_probe`; much and alike, all is trained from these weights; much and unlike, these weights
    or none; little and unlike, the rule says none, against the usual practice. Much data: freeze nothing for good.
    Search it: `weights: {choice: ["", default]}` beside `linear_probe`, `gradual_unfreezing` and `layer_decay`. Which
    rule is yours `autotricks check SPACE --probe` says.

    Paper: Yosinski et al. 2014, https://arxiv.org/abs/1411.1792; Kornblith et al. 2019,
        https://arxiv.org/abs/1805.08974.
    Cost: reading the file once a search.
    Deviates: an exported bundle needs the file no more: it has weights of its own.

    Raises:
        ModelError: When the weights are missing, unreadable, or of another architecture.
    """

    seats = {Slot.MODEL: "init"}
    provides = frozenset({Trait.PRETRAINED})
    excludes = frozenset({Trait.NEW_WEIGHTS})
    weights: str = tunable("", search=Choice("", "default"), legal=Text(
        "default, the path of a .safetensors file or of a state dict that torch.save wrote; empty: weights at random",
        "weights"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with these weights."""
        if not self.weights or not len(run.images):  # without images it is put together to be given trained weights
            return inner
        if run.weights is None:
            raise TypeError("a model with trained weights needs ModelFactory.weights; see autotricks.trial.prepare")
        return begin_with(inner, run.weights(self.weights), run.classes)
