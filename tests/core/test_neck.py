import copy

import pytest
import torch
from torch import nn

from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.nn.classifier import classifier, features
from autotricks.nn.neck import insert, width
from tests.conftest import built


class Doubling(nn.Module):
    """Doubles features, so that it is seen where it stands."""

    def forward(self, hidden):
        return 2 * hidden


def test_our_models_have_a_place_for_it():
    model = build("resnet8", 5, 3)
    names = list(model.state_dict())
    assert insert(model, 5, Doubling()) is model.head
    assert isinstance(model.neck, Doubling) and model.neck.training and list(model.state_dict()) == names


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "timm:test_convnext", "timm:test_efficientnet",
                                  "torchvision:mobilenet_v2", "torchvision:resnet18"])
def test_the_classifier_is_given_what_it_lets_through_and_is_still_found(name):
    torch.manual_seed(0)
    model, images = built(name, 5, 3).eval(), torch.randn(2, 3, 64, 64)
    head = model.get_submodule(classifier(model, 5))
    _, plain = features(model, head, images)
    assert width(model, 5) == plain.shape[1]
    assert insert(model, 5, Doubling()) is head and model.get_submodule(classifier(model, 5)) is head
    assert not any(module.training for module in model.modules())
    logits, given = features(model, head, images)
    assert torch.allclose(given, 2 * plain) and torch.allclose(logits, head(2 * plain))


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_convnext"])
def test_a_copy_finds_its_own_classifier_and_a_replaced_one_is_found(name):
    model = built(name, 5, 3)
    insert(model, 5, Doubling())
    other = copy.deepcopy(model)
    assert other.get_submodule(classifier(other, 5)) is not model.get_submodule(classifier(model, 5))
    replaced = nn.Linear(width(other, 5), 5)
    other.set_submodule(classifier(other, 5), replaced)
    assert other.get_submodule(classifier(other, 5)) is replaced
    assert model.get_submodule(classifier(model, 5)) is not replaced


def test_a_neck_that_is_taken_is_not_thrown_away():
    model = build("resnet8", 5, 3)
    first, second = Doubling(), Doubling()
    insert(model, 5, first)
    insert(model, 5, second)
    assert model.neck is first and model.head[0] is second and classifier(model, 5) == "head.classifier"


def test_a_model_without_classifier_is_refused():
    with pytest.raises(ModelError, match="has no layer inside it"):
        insert(nn.Sequential(nn.Conv2d(3, 5, 1)), 5, Doubling())
