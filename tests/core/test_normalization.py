import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.resnet import ResNet
from autotricks.nn.normalization import (
    batch_norms,
    copy_state,
    normalized_convolutions,
    plain_pairs,
    replace_norms,
    statistics,
    track,
)
from tests.conftest import built


class Branches(nn.Module):
    """Convolutions before batch norm in every way that counts or does not."""

    def __init__(self):
        super().__init__()
        self.plain, self.after_plain = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.shared, self.after_shared = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.bent, self.after_bent = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.twice, self.after_twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.forked, self.one, self.other = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.last, self.head = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, images):
        images = self.after_plain(self.plain(images))
        both = self.shared(images)                          # goes into batch norm and beside it, as before activation
        images = self.after_shared(both) + both
        images = self.after_bent(F.relu(self.bent(images), inplace=True))
        images = self.after_twice(self.twice(self.after_twice(self.twice(images))))
        forked = self.forked(images)
        images = self.one(forked) * self.other(forked)
        return self.head(self.last(images).mean((2, 3)))


def test_a_convolution_counts_if_batch_norm_alone_reads_it():
    assert normalized_convolutions(Branches(), (2, 5, 5), "trick") == {"plain": "after_plain"}


def test_looking_changes_nothing():
    model = Branches().train()
    model.after_plain.eval()
    before, chance = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    normalized_convolutions(model, (2, 5, 5), "trick")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state())
    assert model.training and not model.after_plain.training and model.after_shared.training
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(("name", "count"), [
    ("resnet8", 7), ("timm:test_resnet", 15), ("timm:resnet18", 20), ("torchvision:resnet18", 20),
    ("timm:test_efficientnet", 13)])
def test_every_convolution_of_these_models_is_normalized(name, count):
    model = built(name, 5, 3)
    pairs = normalized_convolutions(model, (3, 64, 64), "trick")
    every = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    gates = [module for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and ".se." in name]
    assert len(pairs) == count == len(every) - len(gates)
    assert len(set(pairs.values())) == count == len(batch_norms(model, "trick"))


def test_plain_pairs_leave_out_what_is_not_torchs_own_and_not_square():
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=2, dilation=2), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3),
                          nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    assert [pair.name for pair in plain_pairs(model, (2, 9, 9), "trick")] == ["0", "2", "4"]
    assert [(pair.name, pair.norm_name) for pair in plain_pairs(model, (2, 9, 9), "trick", square=True)] == [("0", "1")]
    assert plain_pairs(model, (2, 9, 9), "trick")[0].layer is model[0]
    with pytest.raises(ModelError, match=r"trick: Sequential has no 3x3 convolution .* alone\. Take .* drop trick\."):
        plain_pairs(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), (2, 9, 9), "trick", square=True)
    with pytest.raises(ModelError, match="has no convolution whose"):
        plain_pairs(build("timm:test_efficientnet", 5, 3), (3, 32, 32), "trick")   # its norms hold activations


def test_replacing_keeps_the_activation_that_is_part_of_a_norm():
    model, images = build("timm:test_efficientnet", 5, 3).eval(), torch.randn(2, 3, 32, 32)
    before = model(images)

    def made(norm):
        new = nn.BatchNorm2d(norm.num_features, norm.eps)
        copy_state(new, norm)
        return new
    found = len(batch_norms(model, "trick"))
    replace_norms(model, made, "trick")
    assert sum(type(module) is nn.BatchNorm2d for module in model.modules()) == found
    assert torch.allclose(model(images), before, atol=1e-6)


def test_state_goes_over_as_far_as_there_is_a_place_for_it():
    source = nn.BatchNorm2d(3).double().eval()
    for tensor in (source.weight, source.bias, source.running_mean, source.running_var):
        nn.init.uniform_(tensor)
    plain = nn.GroupNorm(1, 3)
    copy_state(plain, source)
    assert plain.weight.dtype == torch.float64 and not plain.training
    assert torch.equal(plain.weight, source.weight) and torch.equal(plain.bias, source.bias)
    assert plain.weight is not source.weight


def test_a_model_without_batch_norm_is_one_clear_line():
    for ask in (lambda model: batch_norms(model, "some_trick"), lambda model: replace_norms(model, None, "some_trick"),
                lambda model: normalized_convolutions(model, (3, 8, 8), "some_trick")):
        with pytest.raises(ModelError, match=r"some_trick: Sequential has no batch norm.*drop some_trick\.") as caught:
            ask(nn.Sequential(nn.Linear(2, 2)))
        assert len(caught.value.problems) == 1


def test_our_resnets_pair_each_convolution_with_its_own_norm():
    assert normalized_convolutions(ResNet(8, 3, 2), (2, 8, 8), "trick") == {
        "stem": "bn", **{f"layers.{place}.conv{number}": f"layers.{place}.bn{number}"
                         for place in range(3) for number in (1, 2)}}


def test_statistics_by_hand_and_in_any_layout():
    images = torch.tensor([[[[1., 3.]], [[0., 0.]]], [[[5., 7.]], [[0., 8.]]]])     # channels 1 3 5 7 and 0 0 0 8
    for layout in (torch.contiguous_format, torch.channels_last):
        variance, mean = statistics(images.contiguous(memory_format=layout))
        assert variance.tolist() == [5, 12] and mean.tolist() == [4, 2]


@pytest.mark.parametrize("momentum", [0.1, 0.5, None])
def test_tracks_as_torch_does(momentum):
    ours, theirs = (nn.BatchNorm2d(2, momentum=momentum) for _ in range(2))
    for seed in range(3):
        images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) * (seed + 1) + seed
        theirs(images)
        track(ours, images.var((0, 2, 3)), images.mean((0, 2, 3)))
    assert int(ours.num_batches_tracked) == 3
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-6)
