import math

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.models.resnet import ResNet
from autotricks.trial import prepare
from autotricks.tricks.model.cosine_head import CosineHead, cosines
from tests.conftest import built, make_dataset, make_run


class Sure(nn.Module):
    """A timm-like model that names its classifier, which is not its last linear layer."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier, self.other = classifier, nn.Linear(5, 3)

    def get_classifier(self):
        return self.classifier


def test_cosines_by_hand():
    found = cosines(torch.tensor([[3., 4.], [0., 0.]]), torch.tensor([[10., 0.], [0., -2.], [1., 1.]]))
    assert found[0].tolist() == pytest.approx([.6, -.8, 1.4 / math.sqrt(2)])
    assert found[1].tolist() == [0, 0, 0]


def test_the_head_of_our_resnet_gives_the_scale_times_the_cosine_whatever_the_lengths():
    run, model = make_run(), ResNet(8, 3, 2)
    model = CosineHead(7.0).model(model, run).eval()
    images = torch.randn(4, 2, 8, 8)
    features = model.pool(model.forward_features(images)).flatten(1)
    weight = model.head.weight.detach()
    angle = torch.nn.functional.cosine_similarity(features.unsqueeze(1), weight.unsqueeze(0), dim=2)
    assert torch.allclose(model(images), 7 * angle, atol=1e-5)
    with torch.no_grad():
        model.head.weight *= torch.tensor([[.1], [5.], [100.]])
    assert torch.allclose(model(images), 7 * angle, atol=1e-5)
    assert [name for name, _ in model.head.named_parameters()] == ["weight"]


def test_random_directions_of_length_one_from_the_generator_of_the_run():
    def head(seed):
        torch.manual_seed(seed)
        return CosineHead().model(nn.Sequential(nn.Linear(4, 3)), make_run(seed=1))[0].weight
    assert torch.equal(head(0), head(1)) and head(0).norm(dim=1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("name", "head"), [
    ("timm:test_resnet", "fc"), ("timm:test_convnext", "head.fc"), ("torchvision:squeezenet1_0", None),
    ("torchvision:mobilenet_v2", "classifier.1")])
def test_models_of_the_libraries(name, head):
    model = built(name, 5, 3)
    if head is None:
        with pytest.raises(ModelError, match="SqueezeNet has no layer inside it"):
            CosineHead().model(model, make_run(counts=(5, 4, 3, 2, 1)))
        return
    model = CosineHead(10.0).model(model, make_run(counts=(5, 4, 3, 2, 1))).eval()
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 5) and float(logits.detach().abs().max()) <= 10
    logits.sum().backward()
    assert float(model.get_submodule(head).weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(("model", "said"), [
    (nn.Sequential(nn.Conv2d(2, 3, 1)), "Sequential has no layer inside it .* for each of 3"),
    (Sure(nn.Conv2d(2, 3, 1)), r"Sure has no layer inside it .* it says that its classifier is Conv2d"),
    (Sure(nn.Linear(4, 9)), r"Sure has no layer .* classifier is Linear\(in_features=4, out_features=9"),
    (nn.Sequential(nn.Embedding(3, 4)), r"cosine_head: Sequential has the head 0, Embedding\(3, 4\); it must be a"),
    (nn.Linear(4, 3), r"Linear has no layer inside it")])
def test_a_model_without_such_a_head_is_one_clear_line(model, said):
    with pytest.raises(ModelError, match=said) as caught:
        CosineHead().model(model, make_run())
    assert len(caught.value.problems) == 1 and "Take another model" in str(caught.value)


def test_learns_with_plain_cross_entropy():
    trainer = prepare(Bundle((Use(CosineHead()),), epochs=4, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9
    assert "head.bias" not in trainer.evaluated.state_dict()


def test_refuses_a_scale_of_zero():
    with pytest.raises(BundleError, match=r"cosine_head\.scale: 0\.0 is not allowed; scale must be > 0"):
        CosineHead(0.0)
