"""Detectors by name: what is refused, images of any size, weights of a classifier for the backbone."""
import sys
from types import SimpleNamespace

import pytest
import timm
import torch

from autotricks.core.weights import Weights
from autotricks.errors import ModelError
from autotricks.models import build, check, load_weights, published
from autotricks.models.dense import build_detector
from autotricks.models.names import parse
from autotricks.nn.pretrained import begin_with, fitted
from autotricks.space.load import load_space
from tests.hub import COMMIT, MEAN, point, repository, serving

SMALL = ["fcos:resnet8", "fcos:timm:test_resnet", "fcos:timm:test_convnext", "fcos:timm:test_efficientnet"]
LARGE = ["fcos:timm:resnet18", "fcos:timm:resnet34", "fcos:timm:resnet50", "fcos:timm:convnext_atto",
         "fcos:timm:mobilenetv3_small_100", "fcos:timm:mobilenetv3_large_100", "fcos:timm:efficientnet_b0"]
MODELS = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def test_a_detector_is_a_name_before_another():
    name = parse("fcos:timm:resnet18.a1_in1k@toy/resnet?drop_rate=0.1")
    assert (name.head, name.library, name.architecture, name.tag) == ("fcos", "timm", "resnet18", "a1_in1k")
    assert str(name) == "fcos:timm:resnet18.a1_in1k@toy/resnet?drop_rate=0.1" and parse(str(name)) == name
    assert str(parse("fcos:resnet20")) == "fcos:resnet20" and parse("resnet20").head == ""


@pytest.mark.parametrize(("name", "said"), [
    ("resnet20", "model.name: resnet20 finds no objects. Write fcos:resnet20."),
    ("timm:resnet18", "model.name: timm:resnet18 finds no objects. Write fcos:timm:resnet18."),
    ("torchvision:resnet18", "a detector has one of resnet8, resnet20, resnet32, resnet44, resnet56 or timm:NAME"),
    ("fcos:torchvision:resnet18", "a detector has one of resnet8"),
    ("fcos:resnet21", "no model is called 'resnet21'. Did you mean"),
    ("fcos:timm:resnet18x", "timm has no model 'resnet18x'. Did you mean"),
    ("fcos:timm:hf-hub:toy/resnet", "which architecture it is only the hub knows"),
    pytest.param("fcos:timm:swin_tiny_patch4_window7_224", "gives no maps [B, F, h, w] of a stride of 4, 8, 16, 32",
                 marks=pytest.mark.slow),
    ("my.module:detector", "allow it with --trust")])
def test_what_finds_no_objects_is_refused_with_the_way_on(name, said):
    with pytest.raises(ModelError) as error:
        build_detector(name, 3, 3)
    line, = error.value.problems
    assert said in line


def test_a_detector_names_no_classes():
    with pytest.raises(ModelError, match=r"^model\.name: fcos:resnet20 finds objects\. Write resnet20, or set data\.t"):
        build("fcos:resnet20", 10, 3)
    check("fcos:resnet20", objects=None)
    check("resnet20", objects=None)


@pytest.mark.parametrize(("task", "name", "said"), [
    ("detection", "resnet20", "resnet20 finds no objects. Write fcos:resnet20."),
    ("classification", "fcos:resnet8", "fcos:resnet8 finds objects. Write resnet8, or set data.task: detection.")])
def test_a_space_is_refused_before_anything_is_built(task, name, said):
    with pytest.raises(Exception) as error:
        load_space("detection.yaml", [f"model.name={name}", f"data.task={task}"])
    assert any(said in line and "model.name" in line for line in error.value.problems)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 100, 75), (1, 64, 96)])
def test_takes_images_of_any_size_and_learns(name, channels, height, width):
    """Every place is told once, in steps of its stride; and every weight has a gradient."""
    model = build_detector(name, 4, channels)
    output = model(torch.randn(2, channels, height, width))
    places = output[0, :, -3:].detach()
    for stride in model.strides:
        x, y = (places[places[:, 2] == stride][:, axis].unique() for axis in (0, 1))
        assert len(x) * len(y) == (places[:, 2] == stride).sum()
        for along, side in ((x, width), (y, height)):
            assert along.tolist() == [stride * (step + 0.5) for step in range(len(along))]
            assert len(along) in (side // stride, -(-side // stride))       # libraries leave out a last part, or pad
    output.square().mean().backward()
    gradients = [value.grad for value in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_zero_gamma_is_off_in_a_backbone():
    backbone = build_detector("fcos:timm:test_resnet", 4, 3).backbone
    norms = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(bool((norm.weight == 1).all()) for norm in norms)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_convnext", "test_efficientnet", pytest.param(
    "mobilenetv3_small_100", marks=pytest.mark.slow), pytest.param("resnet18", marks=pytest.mark.slow)])
def test_a_classifiers_weights_go_into_the_backbone(architecture):
    """The maps are then those of the classifier itself; what finds objects begins at random."""
    torch.manual_seed(3)
    whole = timm.create_model(architecture, num_classes=6).eval()
    for value in whole.buffers():
        value.add_(0.1 * torch.rand_like(value)) if value.is_floating_point() else None
    model = build_detector(f"fcos:timm:{architecture}", 4, 3)
    before = model.head.weight.clone()
    model = begin_with(model, Weights("toy", whole.state_dict()), 4).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images)[-1], _last_maps(whole, images))
    assert torch.equal(model.head.weight, before)
    gray = begin_with(build_detector(f"fcos:timm:{architecture}", 4, 1), Weights("toy", whole.state_dict()), 4).eval()
    one = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(gray.backbone(one)[-1], model.backbone(one.expand(-1, 3, -1, -1))[-1],
                                   rtol=1e-4, atol=1e-5)


def _last_maps(whole, images):
    """The classifier's own maps before what follows the last stage."""
    return whole.forward_intermediates(images, intermediates_only=True, norm=False)[-1]


def test_a_whole_detector_goes_in_but_what_it_says_of_classes():
    torch.manual_seed(4)
    taught = build_detector("fcos:resnet8", 6, 3)
    found = fitted(build_detector("fcos:resnet8", 4, 3), taught.state_dict(), 4, "toy")
    assert found.keys() == {name for name in taught.state_dict() if not name.startswith("head.")}
    whole = fitted(build_detector("fcos:resnet8", 6, 3), taught.state_dict(), 6, "toy")
    assert whole.keys() == taught.state_dict().keys()


def test_weights_of_another_architecture_are_one_line():
    other = timm.create_model("test_efficientnet", num_classes=6)
    with pytest.raises(ModelError, match=r"^pretrained\.weights: toy: \d+ of \d+ weights of FeatureListNet do not fit"):
        fitted(build_detector("fcos:timm:test_resnet", 4, 3), other.state_dict(), 4, "toy")


def test_published_weights_of_a_detector_are_those_of_its_backbone(monkeypatch, tmp_path):
    with serving({"toy/resnet": repository("test_resnet")}) as hub:
        point(monkeypatch, hub.url, tmp_path)
        found = published("fcos:timm:hf-hub:toy/resnet")
        assert (str(found.name), found.source, found.side) == ("fcos:timm:test_resnet@toy/resnet", "toy/resnet", None)
        weights = load_weights(str(found.name))
        assert (weights.source, weights.revision, list(weights.mean)) == ("toy/resnet", COMMIT, MEAN)
        hub.broken = True
        point(monkeypatch, hub.url, tmp_path, offline=True)
        model = begin_with(build_detector(str(found.name), 4, 3), load_weights(str(found.name)), 4)
        assert torch.equal(model.backbone.conv1[0].weight, weights.tensors["conv1.0.weight"])
        point(monkeypatch, hub.url, tmp_path / "nowhere", offline=True)
        with pytest.raises(ModelError, match=r"Where there is a network: autotricks fetch 'fcos:timm:test_resnet@toy"):
            load_weights(str(found.name))


def test_a_detector_of_the_users_own_is_built_where_that_is_allowed(monkeypatch):
    class Own(torch.nn.Module):
        def __init__(self, classes, channels):
            super().__init__()
            self.sizes = classes, channels

    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(detector=Own, number=lambda classes, channels: 3))
    assert build_detector("mine:detector", 5, 1, trust=True).sizes == (5, 1)
    with pytest.raises(ModelError, match=r"mine:number returned int, not a torch\.nn\.Module"):
        build_detector("mine:number", 5, 1, trust=True)
    with pytest.raises(ModelError, match=r"mine:detector is code of yours; allow it with --trust"):
        build_detector("mine:detector", 5, 1)
