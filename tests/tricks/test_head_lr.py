import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.trial import prepare
from autotricks.tricks.model.bnneck import Bnneck
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.group_head import GroupHead
from autotricks.tricks.optimizer.adamw import Adamw
from autotricks.tricks.optimizer.linear_scaling import LinearScaling
from autotricks.tricks.optimizer.lr_finder import LrFinder
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.parameters.head_lr import HeadLr
from autotricks.tricks.parameters.layer_decay import LayerDecay
from autotricks.tricks.parameters.no_bias_decay import NoBiasDecay
from autotricks.tricks.schedule.cosine import Cosine
from tests.conftest import make_dataset, make_run, sampled


def rates(*tricks, model="resnet8"):
    """The rate of each weight by name under a bundle."""
    bundle = Bundle(tuple(Use(trick) for trick in tricks), model=model, epochs=2, batch_size=16)
    trainer = prepare(bundle, make_dataset(channels=3, size=16) if ":" in model else make_dataset())
    names = {id(weight): name for name, weight in trainer.run.model.named_parameters()}
    found = [(names[id(weight)], group["lr"]) for group in trainer.optimizer.param_groups for weight in group["params"]]
    assert len(found) == len(names) == len(dict(found))  # each once
    return dict(found), trainer


SMALL = [("resnet8", "head"), ("timm:test_vit", "head"), ("torchvision:mobilenet_v3_small", "classifier.3")]


@pytest.mark.parametrize(("model", "head"), sampled([*SMALL, ("torchvision:vgg11_bn", "classifier.6")], *SMALL))
def test_the_classifier_alone_has_another_rate(model, head):
    found, trainer = rates(HeadLr(20.0), Sgd(lr=0.02), model=model)
    fast = {name for name, rate in found.items() if rate == pytest.approx(0.4)}
    assert fast == {f"{head}.weight", f"{head}.bias"}
    assert {rate for name, rate in found.items() if name not in fast} == {0.02}
    assert trainer.optimizer.param_groups[0]["lr"] == 0.02  # which reports show


def test_steps_are_as_long_as_the_rates_say():
    moves = []
    for tricks in ((), (HeadLr(4.0),)):
        _, trainer = rates(Sgd(lr=0.1, momentum=0.0, weight_decay=0.0), *tricks)
        before = {name: weight.detach().clone() for name, weight in trainer.run.model.named_parameters()}
        trainer.enter(trainer.plan.phases[0])
        trainer._set_rate(0)
        trainer.step(torch.arange(16))
        moves.append({name: weight.detach() - before[name] for name, weight in trainer.run.model.named_parameters()})
    for name, factor in {"stem.weight": 1, "layers.1.conv2.weight": 1, "head.weight": 4, "head.bias": 4}.items():
        torch.testing.assert_close(moves[1][name], factor * moves[0][name], rtol=1e-3, atol=1e-6)
        assert moves[1][name].any()


def test_the_schedule_moves_both_alike():
    _, trainer = rates(HeadLr(10.0), Sgd(lr=0.1), Cosine())
    trainer._set_rate(trainer.run.steps // 2)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx([0.05, 0.5])


def test_with_what_else_sets_groups_and_rates():
    found, trainer = rates(HeadLr(10.0), LayerDecay(0.5), NoBiasDecay(), LinearScaling(256),
                           Adamw(lr=0.8, weight_decay=0.3))
    assert found["head.weight"] == found["head.bias"] == pytest.approx(8 / 16)
    assert found["layers.2.bn1.weight"] == pytest.approx(0.4 / 16) and found["stem.weight"] == pytest.approx(0.05 / 16)
    names = {id(weight): name for name, weight in trainer.run.model.named_parameters()}
    decays = {names[id(w)]: group["weight_decay"] for group in trainer.optimizer.param_groups for w in group["params"]}
    assert decays["head.bias"] == decays["bn.weight"] == 0 and decays["stem.weight"] == decays["head.weight"] == 0.3
    found, _ = rates(HeadLr(10.0), LrFinder(iterations=12))
    assert found["head.weight"] == pytest.approx(10 * found["stem.weight"])


def test_heads_of_other_tricks():
    found, _ = rates(HeadLr(10.0), GroupHead(), Bnneck(), CosineHead(), Sgd(lr=0.1))
    assert [name for name, rate in found.items() if rate == pytest.approx(1.0)] == ["head.weight"]


def test_with_factor_1_nothing_changes():
    assert set(rates(HeadLr(1.0), Sgd(lr=0.1))[0].values()) == {0.1}


def test_a_model_without_classifier_is_refused():
    run = make_run()
    run.model = nn.Sequential(nn.Conv2d(2, 3, 1))
    with pytest.raises(ModelError, match="has no layer inside it"):
        HeadLr().parameters([{"params": list(run.model.parameters())}], run)


def test_a_factor_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"head_lr\.factor: 0 is not allowed; factor must be > 0 \(times the rate of"):
        HeadLr(factor=0)
