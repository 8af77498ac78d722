import pytest
import timm
import torch
from torch import nn
from torchvision.models import convnext

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.resnet import ResNet
from autotricks.nn.activation_maps import (
    activation_maps,
    evaluating,
    foreground,
    norm_between,
    normed,
    training_maps,
)
from autotricks.nn.classifier import classifier, feature_maps
from tests.conftest import make_run


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def made(model, counts=(200, 90, 10), size=16):
    run = make_run(counts=counts, image_shape=(3, size, size))
    run.model = model
    return run


def test_a_map_by_hand():
    features = torch.tensor([[[[1., 0.], [2., 4.]], [[0., 3.], [1., 1.]]]])
    # 2 A_1 - A_2 = [[2, -3], [3, 7]]; its least, -3, becomes 0 and its greatest, 7, 1.
    assert torch.allclose(activation_maps(features, torch.tensor([[2., -1.]])), torch.tensor([[[.5, 0.], [.6, 1.]]]))


def test_size_and_level_of_weights_do_not_matter_and_a_level_map_is_0():
    features, weights = torch.rand(4, 5, 3, 2), torch.randn(4, 5)
    assert torch.allclose(activation_maps(features, 7 * weights), activation_maps(features, weights), atol=1e-6)
    raised = torch.cat([features, torch.ones(4, 1, 3, 2)], 1)
    assert torch.allclose(activation_maps(raised, torch.cat([weights, torch.full((4, 1), -9.)], 1)),
                          activation_maps(features, weights), atol=1e-5)
    assert activation_maps(torch.ones(1, 5, 3, 2), weights[:1]).unique().tolist() == [0]


@pytest.mark.parametrize("name", ["resnet8", "torchvision:resnet18"])
def test_the_maps_are_those_of_the_gradient_of_the_true_class(name):
    """For averaged maps and a linear classifier, Grad-CAM without its rectifier is the class activation map."""
    size = 16 if name == "resnet8" else 64
    run = made(build(name, 3, 3), (4, 3, 3), size)
    last = run.model.layers if name == "resnet8" else run.model.layer4
    seen = []
    hook = last.register_forward_hook(lambda module, given, out: seen.append(out))
    logits = run.model.eval()(run.normalize(run.images))
    hook.remove()
    slope, = torch.autograd.grad(logits.gather(1, run.targets.single.unsqueeze(1)).sum(), seen[0])
    raw = (slope.mean((2, 3), keepdim=True) * seen[0]).sum(1).detach()
    low, high = raw.amin((1, 2), keepdim=True), raw.amax((1, 2), keepdim=True)
    found = training_maps(run)
    assert found.dtype == torch.float16 and found.shape == raw.shape and raw.shape[1] > 1
    assert torch.allclose(found.float(), (raw - low) / (high - low), atol=1e-3)


def small_swin():
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=32, window_size=4, embed_dim=24, depths=(1, 1),
                             num_heads=(2, 2), num_classes=5)


@pytest.mark.parametrize(("make", "kind"), [
    (lambda: ResNet(8, 5), None), (lambda: build("timm:convnext_atto", 5, 3), nn.LayerNorm), (small_swin, None),
    (lambda: convnext.ConvNeXt([convnext.CNBlockConfig(24, 32, 1), convnext.CNBlockConfig(32, None, 1)], num_classes=5),
     nn.LayerNorm)], ids=["resnet8", "timm ConvNeXt", "timm Swin", "torchvision ConvNeXt"])
def test_maps_average_to_the_logits_norm_and_all(make, kind):
    model, images = make().eval(), torch.randn(3, 3, 32, 32)
    head = model.get_submodule(classifier(model, 5))
    with torch.no_grad():
        norm = norm_between(model, head, images)
        assert isinstance(norm, kind) if kind else norm is None
        if norm is not None:
            norm.weight.uniform_(0.5, 2)
            norm.bias.normal_()
        logits, maps = model(images), feature_maps(model, images)
        maps = maps if norm is None else normed(maps, norm)
        found = torch.einsum("bfhw,cf->bchw", maps, head.weight).mean((2, 3)) + head.bias
    assert torch.allclose(found, logits, atol=1e-4 * float(logits.abs().max()))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(64), nn.GroupNorm(4, 64), nn.LayerNorm(64, elementwise_affine=False)])
def test_a_neck_that_is_a_norm_is_put_into_the_maps(norm):
    model, images = ResNet(8, 3), torch.randn(6, 3, 16, 16)
    model.neck = norm
    for _ in range(3):
        model(images)       # so that statistics are not those of the start
    model.eval()
    with torch.no_grad():
        maps = normed(feature_maps(model, images), norm_between(model, model.head, images))
        found = torch.einsum("bfhw,cf->bchw", maps, model.head.weight).mean((2, 3)) + model.head.bias
        assert torch.allclose(found, model(images), atol=1e-5)


@pytest.mark.parametrize("between", [nn.ReLU6(), nn.Linear(64, 64), nn.Sequential(nn.LayerNorm(64), nn.GELU())])
def test_more_than_a_norm_in_between_is_refused(between):
    model = ResNet(8, 3)
    model.neck = nn.Sequential(nn.BatchNorm1d(64), between)
    with pytest.raises(ModelError, match="ResNet has no class activation maps: more than a norm lies between"):
        training_maps(made(model, (3, 2, 1)))


def test_maps_come_in_the_order_of_the_rows_over_more_than_one_chunk():
    run = made(ResNet(8, 3))
    whole = training_maps(run)
    assert len(whole) == 300
    run.images, run.targets = run.images[270:], run.targets[270:]
    assert torch.allclose(training_maps(run).float(), whole[270:].float(), atol=2e-3)


def test_the_model_is_left_as_it_was():
    run = made(ResNet(8, 3))
    run.model.train()
    run.model.layers[0].eval()
    modes = [module.training for module in run.model.modules()]
    state = {name: value.clone() for name, value in run.model.state_dict().items()}
    generator, chance = run.generator.get_state(), torch.get_rng_state()
    maps = training_maps(run)
    assert not maps.requires_grad and all(weight.grad is None for weight in run.model.parameters())
    assert [module.training for module in run.model.modules()] == modes and len(set(modes)) == 2
    assert all(torch.equal(value, state[name]) for name, value in run.model.state_dict().items())
    assert torch.equal(run.generator.get_state(), generator) and torch.equal(torch.get_rng_state(), chance)


def test_maps_do_not_depend_on_the_mode_that_the_model_is_in():
    run = made(ResNet(8, 3))
    run.model.train()
    training = training_maps(run)
    run.model.eval()
    assert torch.equal(training_maps(run), training)


def test_modes_come_back_after_an_error():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    model[0].eval()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == [True, False, True]


def test_a_threshold_by_hand():
    maps = torch.tensor([[[0., 1.], [0., 1.]]])                    # columns enlarged: 0, .25, .75, 1; the mean is .5
    def shown(threshold):
        return foreground(maps, 4, 4, threshold)[0, 0].tolist()
    assert shown(0.4) == shown(0.5) == [False, True, True, True]
    assert shown(0.75) == shown(1.5) == [False, False, True, True] and shown(1.6) == [False, False, False, True]
    assert foreground(maps, 4, 6, 1.0).shape == (1, 4, 6)
    both = foreground(torch.cat([maps, maps / 10]), 4, 4, 0.75)    # each by its own mean
    assert torch.equal(both[0], both[1])


def test_a_map_of_nothing_is_foreground_all_over_and_half_precision_does_not_matter():
    assert bool(foreground(torch.zeros(1, 2, 2), 5, 5, 0.75).all())
    maps = torch.rand(50, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float((foreground(maps, 32, 32, 0.75) != foreground(maps.half(), 32, 32, 0.75)).float().mean()) < 1e-3


class Wide(ResNet):
    """A ResNet that passes its averages through a layer before it classifies them."""

    def __init__(self):
        super().__init__(8, 3)
        self.neck, self.head = nn.Sequential(nn.Linear(64, 10), nn.ReLU()), nn.Linear(10, 3)


@pytest.mark.parametrize(("model", "said"), [
    (make_run(image_shape=(3, 16, 16)).model, "Sequential has no feature maps that are averaged over the image"),
    (Wide(), r"Wide has no class activation maps: its classifier reads 10 numbers and its last feature maps are 64\."),
    (ResNet(8, 4), "has no layer inside it that maps features to one logit for each of 3 classes")])
def test_a_model_that_has_none_is_one_clear_line(model, said):
    with pytest.raises(ModelError, match=said) as caught:
        training_maps(made(model, (3, 2, 1)))
    assert len(str(caught.value).splitlines()) == 1
