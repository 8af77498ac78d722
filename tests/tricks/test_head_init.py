import math

import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.nn.classifier import classifier
from autotricks.trial import prepare
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.head_init import HeadInit
from autotricks.tricks.model.kaiming import Kaiming
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_dataset, make_run, sampled

DATA = make_dataset()   # 48, 24, 12, 6 images


def first_loss(*tricks):
    made = prepare(Bundle(tuple(map(Use, tricks)), epochs=1, batch_size=90), DATA)
    return made.first_step()().item()


def test_the_loss_begins_at_log_of_classes_or_at_the_entropy_of_their_shares():
    shares = [count / 90 for count in (48, 24, 12, 6)]
    assert first_loss(HeadInit()) == pytest.approx(math.log(4), rel=1e-6)
    assert first_loss(HeadInit(bias="log_prior")) == pytest.approx(
        -sum(share * math.log(share) for share in shares), rel=1e-5)


SMALL = ["resnet8", "timm:test_vit", "timm:convnext_atto", "torchvision:mobilenet_v3_small"]


@pytest.mark.parametrize("name", sampled([*SMALL, "torchvision:vgg11_bn"], *SMALL))
def test_predicts_the_shares_whatever_the_image(name):
    run = make_run(counts=(6, 3, 1), image_shape=(3, 160, 160))
    model = HeadInit(bias="log_prior").model(build(name, 3, 3), run).eval()
    found = model(torch.randn(2, 3, 160, 160)).softmax(1)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.3, 0.1]] * 2))


@pytest.mark.parametrize(("name", "options", "bias"), [
    ("test_vit", {"weight_init": "jax"}, "zero"), ("test_vit", {"weight_init": "jax_nlhb"}, "log_prior"),
    ("convnext_atto", {"head_init_scale": 0.0}, "zero")])
def test_is_timms_own_option(name, options, bias):
    """`nlhb` is a bias of - log C: the log of shares that are alike."""
    import timm

    theirs = timm.create_model(name, num_classes=5, **options).get_classifier()
    ours = HeadInit(bias=bias).model(build(f"timm:{name}", 5, 3), make_run(counts=(2,) * 5)).get_classifier()
    assert torch.equal(ours.weight, theirs.weight) and not ours.weight.any()
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_the_deviation_of_weights_and_their_source():
    run, model = make_run(), build("resnet8", 3, 1)
    model.head = torch.nn.Linear(20_000, 3)
    HeadInit(std=0.01).model(model, run)
    again = torch.empty(3, 20_000).normal_(0, 0.01, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.head.weight, again) and not model.head.bias.any()
    assert model.head.weight.detach().std().item() == pytest.approx(0.01, rel=0.02)


def test_only_the_classifier_changes_and_the_first_step_moves_it_alone():
    made = prepare(Bundle(tuple(map(Use, (HeadInit(), Pretrained(), Sgd(weight_decay=0.0)))), model="resnet8",
                          epochs=1, batch_size=16), DATA)
    plain = prepare(Bundle((Use(Pretrained()),), model="resnet8", epochs=1, batch_size=16), DATA)
    own = plain.run.model.state_dict()
    changed = [name for name, value in made.run.model.state_dict().items() if not torch.equal(value, own[name])]
    assert changed == ["head.weight", "head.bias"]
    made.first_step()()
    moved = {name for name, weight in made.run.model.named_parameters() if bool((weight.grad != 0).any())}
    assert moved == {"head.weight", "head.bias"}


def test_acts_on_top_of_an_initialization_and_learns():
    made = prepare(Bundle((Use(Kaiming()), Use(HeadInit())), epochs=6, batch_size=16), DATA)
    head = made.run.model.get_submodule(classifier(made.run.model, 4))
    assert not head.weight.any()
    assert [metrics.values["val/accuracy"] for metrics in made.epochs()][-1] > 0.9


def test_cosines_of_nothing_are_refused():
    assert problems([Use(HeadInit()), Use(CosineHead())]) == [
        "head_init excludes cosine_head, which provides cosine head. Drop one."]
    assert problems([Use(HeadInit()), Use(BalancedSoftmax())]) == []


def test_a_model_without_classifier_is_refused():
    with pytest.raises(ModelError, match="has no layer inside it"):
        HeadInit().model(torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1)), make_run())


def test_a_deviation_below_0_is_refused():
    with pytest.raises(BundleError, match=r"head_init\.std: -1 is not allowed; std must be >= 0"):
        HeadInit(std=-1)
