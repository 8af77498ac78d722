import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import advice, problems
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.load.cam_sampling import CamSampling
from autotricks.tricks.model.bnneck import Bnneck
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.dropout import Dropout
from tests.conftest import built, make_dataset, make_run

CLASSES = {"counts": (5, 4, 3, 2, 1), "image_shape": (3, 64, 64)}


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "torchvision:mobilenet_v2"])
def test_the_classifier_gets_features_of_mean_0_and_deviation_1(name):
    torch.manual_seed(0)
    model = built(name, 5, 3)
    head = model.get_submodule(next(key for key in ("head", "fc", "classifier.1") if key in dict(
        model.named_modules())))
    model, given = Bnneck().model(model, make_run(**CLASSES)).train(), []
    norm, = (module for module in model.modules() if isinstance(module, nn.BatchNorm1d))
    for module in (norm, head):
        module.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].double()))
    model(torch.randn(16, 3, 64, 64))
    before, after = given
    assert after.mean(0).abs().max() < 1e-4
    variance = before.var(0, unbiased=False)  # some features of a fresh network hardly vary
    assert torch.allclose(after.var(0, unbiased=False), variance / (variance + 1e-5), rtol=1e-3, atol=1e-6)
    assert after.var(0, unbiased=False).max() > 0.9 and head.bias is None


def test_there_is_a_scale_to_learn_but_no_shift():
    model = Bnneck().model(build("resnet8", 5, 3), make_run(**CLASSES))
    learned = {name for name, _ in model.named_parameters()}
    assert "neck.weight" in learned and not {"neck.bias", "head.bias"} & learned
    assert model.state_dict()["neck.bias"].tolist() == [0] * 64


def test_training_leaves_the_shift_at_0_even_after_all_was_thawed():
    bundle = Bundle((Use(Bnneck()), Use(ClassifierRetraining()), Use(Ema())), epochs=3, batch_size=16)
    trainer = prepare(bundle, make_dataset())
    list(trainer.epochs())
    state = trainer.evaluated.state_dict()
    assert state["neck.bias"].abs().max() == 0 and state["neck.running_mean"].abs().max() > 0
    assert "head.bias" not in state and all(weight.requires_grad for weight in trainer.run.model.parameters())


def test_in_evaluation_logits_are_a_linear_map_of_shifted_features():
    torch.manual_seed(0)
    model = Bnneck().model(build("resnet8", 5, 3), make_run(**CLASSES)).eval()
    with torch.no_grad():
        model.neck.running_mean.uniform_(0, 1)
        model.neck.running_var.uniform_(0.5, 2)
        model.neck.weight.uniform_(0.5, 2)
    images = torch.randn(3, 3, 32, 32)
    pooled = model.forward_features(images).mean((2, 3))
    unit = (pooled - model.neck.running_mean) / (model.neck.running_var + 1e-5).sqrt() * model.neck.weight
    assert torch.allclose(model(images), unit @ model.head.weight.T, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet"])
def test_a_cosine_head_stands_behind_it(name):
    torch.manual_seed(0)
    run = make_run(**CLASSES)
    model = CosineHead(10.0).model(Bnneck().model(built(name, 5, 3), run), run).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert len(norms) == 1
    assert model(torch.randn(8, 3, 64, 64)).abs().max() <= 10.0001
    assert norms[0].num_batches_tracked == 1


def test_learns():
    trainer = prepare(Bundle((Use(Bnneck()),), epochs=4, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_one_neck_at_a_time_and_activation_maps_know_it():
    assert "both take model.neck" in problems([Use(Bnneck()), Use(Dropout())])[0]
    assert advice([Use(Bnneck()), Use(CamSampling())]) == []
