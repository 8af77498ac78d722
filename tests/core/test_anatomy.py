import pytest
import torch
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.resnet import ResNet
from autotricks.nn.classifier import classifier, feature_maps, features
from tests.conftest import built, make_run


class Sure(nn.Module):
    """A timm-like model that names its classifier, which is not its last linear layer."""

    def __init__(self):
        super().__init__()
        self.classifier, self.other = nn.Linear(4, 3), nn.Linear(5, 3)

    def get_classifier(self):
        return self.classifier


@pytest.mark.parametrize(("model", "name"), [
    (Sure(), "classifier"), (ResNet(8, 3), "head"), ("timm:test_resnet", "fc"),
    ("torchvision:mobilenet_v2", "classifier.1"), (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)), "1"),
    (nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.ReLU(), nn.Linear(6, 3))), "1.1")])
def test_the_classifier_is_what_the_model_names_else_its_last_layer(model, name):
    assert classifier(build(model, 3, 3) if isinstance(model, str) else model, 3) == name


@pytest.mark.parametrize(("model", "classes"), [(make_run().model, 4), (nn.Linear(4, 3), 3), (nn.Conv2d(3, 3, 1), 3)])
def test_without_a_classifier_is_one_clear_line(model, classes):
    with pytest.raises(ModelError, match=f"has no layer inside it .* each of {classes} classes"):
        classifier(model, classes)


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "torchvision:resnet18"])
def test_the_pooled_maps_through_the_classifier_are_the_logits(name):
    model, images = built(name, 5, 3).eval(), torch.randn(2, 3, 64, 64)
    maps = feature_maps(model, images)
    head = model.get_submodule(classifier(model, 5))
    assert maps.ndim == 4 and maps.shape[2] > 1
    assert torch.allclose(head(maps.mean((2, 3))), model(images), atol=1e-5)


def test_asking_for_maps_leaves_no_hook_behind():
    model = built("torchvision:resnet18", 5, 3).eval()
    feature_maps(model, torch.randn(1, 3, 32, 32))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_model_without_maps_is_one_clear_line():
    with pytest.raises(ModelError, match="Sequential has no feature maps that are averaged"):
        feature_maps(make_run().model, torch.randn(2, 2, 4, 4))


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "torchvision:mobilenet_v2"])
def test_the_classifier_makes_the_logits_of_the_features(name):
    model, images = built(name, 5, 3).eval(), torch.randn(2, 3, 64, 64)
    head = model.get_submodule(classifier(model, 5))
    logits, given = features(model, head, images)
    assert given.shape == (2, head.in_features) and given.requires_grad
    assert torch.equal(logits, model(images)) and torch.equal(head(given), logits)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_pass_that_fails_leaves_no_hook_behind():
    model = make_run().model
    with pytest.raises(RuntimeError):
        features(model, model[1], torch.randn(2, 9, 9, 9))
    assert not model[1]._forward_pre_hooks
