import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.runtime.gradient_accumulation import GradientAccumulation
from tests.conftest import make_batch, make_dataset

DATA = make_dataset()


def gradient(*tricks):
    uses = tuple(map(Use, (*tricks, GroupNorm(groups=8))))
    made = prepare(Bundle(uses, model="resnet8", epochs=2, batch_size=16), DATA)
    sizes = []
    made.run.model.stem.register_forward_hook(lambda module, given, out: sizes.append(len(out)))
    made.enter(made.plan.phases[0])
    made.pipeline.gradients(make_batch([0, 0, 0, 1, 2, 3, 3], image_shape=(1, 8, 8)))
    return sizes, torch.cat([weight.grad.flatten() for weight in made.run.model.parameters()])


@pytest.mark.parametrize(("pieces", "sizes"), [(1, [7]), (2, [4, 3]), (3, [3, 2, 2]), (20, [1] * 7)])
def test_gradients_are_those_of_the_whole_batch(pieces, sizes):
    for others in ((), (ClassWeights(),)):
        seen, found = gradient(*others, GradientAccumulation(pieces))
        _, expected = gradient(*others)
        assert seen == sizes
        assert float((found - expected).norm() / expected.norm()) < 1e-6


def test_a_mean_of_means_would_be_another_gradient():
    """With class weights, each piece normalized by itself is not the whole: what the trick must not do."""
    logits, labels, weight = torch.randn(4, 2), torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 9.0])
    whole = nn.functional.cross_entropy(logits, labels, weight)
    halves = [nn.functional.cross_entropy(logits[part], labels[part], weight) for part in (slice(2), slice(2, 4))]
    assert abs(float(sum(halves) / 2 - whole)) > 1e-3


def test_less_than_one_piece_is_refused():
    with pytest.raises(BundleError, match="pieces: 0 is not allowed; pieces must be >= 1"):
        GradientAccumulation(0)
