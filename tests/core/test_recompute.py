import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from autotricks.errors import ModelError
from autotricks.nn.activation_checkpointing import blocks, recompute_blocks
from tests.conftest import built


def step(model, dtype=None, seed=0):
    """Gradients and buffers after a step in training mode."""
    torch.manual_seed(seed)
    images = torch.randn(8, 3, 16, 16)
    model.train()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        logits = model(images)
    logits.float().logsumexp(1).sum().backward()
    return ({name: weight.grad for name, weight in model.named_parameters()},
            {name: value.clone() for name, value in model.named_buffers()})


def pair(name):
    torch.manual_seed(1)
    plain = built(name, 5, 3)
    other = copy.deepcopy(plain)
    recompute_blocks(other)
    return plain, other


@pytest.mark.parametrize(("name", "count"), [("resnet8", 3), ("resnet20", 9), ("torchvision:resnet18", 8)])
def test_gradients_and_statistics_are_those_without_it(name, count):
    plain, other = pair(name)
    assert len(blocks(other)) == count
    for expected, found in zip(step(plain), step(other), strict=True):
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert {int(value) for key, value in other.named_buffers() if key.endswith("num_batches_tracked")} == {1}


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, images):
        return self.norm(images)


def test_a_plain_checkpoint_counts_twice_and_this_one_once():
    images = torch.randn(8, 4, requires_grad=True)
    plain, model = Normed(), nn.Sequential(Normed())
    checkpoint(plain, images, use_reentrant=False).square().sum().backward()
    recompute_blocks(model)
    model(images).square().sum().backward()
    assert (int(plain.norm.num_batches_tracked), int(model[0].norm.num_batches_tracked)) == (2, 1)


def test_dropout_drops_the_same_again():
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.drop = nn.Linear(6, 6), nn.Dropout(0.5)

        def forward(self, images):
            return self.drop(self.linear(images))

    torch.manual_seed(0)
    plain = nn.Sequential(Inside(), Inside())
    other, images = copy.deepcopy(plain), torch.randn(4, 6)
    recompute_blocks(other)
    found = []
    for model in (plain, other):
        torch.manual_seed(3)
        model(images).square().sum().backward()
        found.append([weight.grad for weight in model.parameters()])
    assert all(torch.equal(*both) for both in zip(*found))


def test_what_is_kept_is_less():
    def kept(model):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda value: sizes.append(value.numel()) or value, lambda v: v):
            model.train()(torch.randn(8, 3, 16, 16))
        return sum(sizes)

    plain, other = pair("resnet20")
    assert kept(other) < kept(plain) / 3


def test_names_copies_and_evaluation_stay():
    plain, other = pair("resnet8")
    assert list(plain.state_dict()) == list(other.state_dict())
    assert isinstance(other.layers[0], type(plain.layers[0]))
    twin = copy.deepcopy(other)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    images = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        assert twin.eval()(images).abs().max() == 0     # a copy calls its own weights
        assert torch.equal(plain.eval()(images), other.eval()(images))


def test_twice_is_once():
    _, other = pair("resnet8")
    kinds = [type(block) for block in blocks(other)]
    recompute_blocks(other)
    assert [type(block) for block in blocks(other)] == kinds


def test_a_model_without_blocks_is_refused():
    with pytest.raises(ModelError, match="Sequential has no blocks to recompute"):
        recompute_blocks(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)))


def test_autocast_is_the_same_again():
    plain, other = pair("resnet8")
    (expected, _), (found, _) = step(plain, torch.bfloat16), step(other, torch.bfloat16)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
