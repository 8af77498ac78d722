import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError, ModelError
from autotricks.trial import prepare
from autotricks.tricks.batch.mixup import Mixup
from autotricks.tricks.loss.cosface import Cosface
from autotricks.tricks.loss.ldam import Ldam
from autotricks.tricks.model.cosine_head import CosineHead
from tests.conftest import make_batch, make_dataset, make_run

LABELS = torch.tensor([0, 1, 2, 0, 1])
COSINES = torch.rand(5, 3, generator=torch.Generator().manual_seed(3)) * 2 - 1


def cosine_run(scale=30.0, counts=(6, 3, 1)):
    run = make_run(counts=counts)
    run.model = CosineHead(scale).model(nn.Sequential(nn.Flatten(), nn.Linear(32, 3)), run)
    return run


def test_by_hand():
    loss = Cosface(0.5).loss(None, cosine_run(10.0))
    found = loss(10 * torch.tensor([[0.5, 0.0, -1.0], [0.5, 0.2, 0.2]]), make_batch([0, 0]))
    # 0.5 - 0.5 against 0 and -1; then against twice 0.2
    assert found.tolist() == pytest.approx([math.log(2 + math.exp(-10)), math.log(1 + 2 * math.exp(2))])


@pytest.mark.parametrize("scale", [10.0, 64.0])
@pytest.mark.parametrize("margin", [0.0, 0.35])
def test_is_the_formula_of_the_paper(scale, margin):
    found = Cosface(margin).loss(None, cosine_run(scale))(scale * COSINES, make_batch(LABELS))
    expected = F.cross_entropy(scale * (COSINES - margin * F.one_hot(LABELS, 3)), LABELS, reduction="none")
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_is_ldam_where_all_classes_are_as_frequent():
    run = cosine_run(counts=(4, 4, 4))
    batch = make_batch(LABELS)
    assert torch.allclose(Cosface(0.4).loss(None, run)(30 * COSINES, batch), Ldam(0.4).loss(None, run)(
        30 * COSINES, batch), rtol=1e-5)


def test_each_label_of_a_mixture_has_its_own_margin():
    run, plain = cosine_run(), make_batch([0, 1])
    loss = Cosface(0.3).loss(None, run)
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = (loss(30 * COSINES[:2], make_batch(labels)) for labels in ([0, 1], [2, 0]))
    expected = torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second
    assert torch.allclose(loss(30 * COSINES[:2], mixed), expected)


def test_prediction_has_no_margin_and_mixup_goes_with_it():
    uses = Use(Cosface(0.2)), Use(CosineHead()), Use(Mixup(0.2))
    trainer = prepare(Bundle(uses, epochs=6, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9
    images = trainer.run.normalize(trainer.run.images[:4])
    model = trainer.evaluated.eval()
    features = model.pool(model.forward_features(images)).flatten(1)
    angles = F.cosine_similarity(features.unsqueeze(1), model.head.weight.unsqueeze(0), dim=2)
    assert torch.allclose(model(images), 30 * angles, atol=1e-4)


def test_needs_a_cosine_head():
    assert problems([Use(Cosface())]) == ["cosface requires a trick that provides cosine head; none is active with it."]
    assert problems([Use(Cosface()), Use(CosineHead())]) == []
    with pytest.raises(ModelError, match=r"cosface: no module of Sequential has a `cosine_scale`"):
        Cosface().loss(None, make_run())


def test_refuses_a_margin_of_more_than_two():
    with pytest.raises(BundleError, match=r"cosface\.margin: 2\.5 is not allowed; margin must be >= 0 and <= 2"):
        Cosface(2.5)
