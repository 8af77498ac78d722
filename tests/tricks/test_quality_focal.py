import math

import pytest
import torch

from autotricks.core.dense import Dense
from autotricks.errors import ModelError
from autotricks.functional.assignment import with_places
from autotricks.functional.boxes import overlap
from autotricks.models.dense import build_detector
from autotricks.tricks.loss.center_sampling import CenterSampling
from autotricks.tricks.loss.quality_focal import QualityFocal, quality_focal
from tests.tricks.dense import CLASSES, pieces, said, scenes


def test_by_hand():
    # p = 1/2: |y - 1/2|^2 * ln 2; p = 3/4 against 1/4: a quarter of -(ln(3/4) / 4 + 3 ln(1/4) / 4)
    loss = quality_focal(torch.tensor([0.0, 0.0, math.log(3)]), torch.tensor([1.0, 0.5, 0.25]), 2.0)
    assert loss.tolist() == pytest.approx(
        [math.log(2) / 4, 0, -(math.log(0.75) + 3 * math.log(0.25)) / 16], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0])
def test_it_is_least_where_the_probability_is_the_quality(quality):
    probabilities = torch.linspace(0.001, 0.999, 999)
    losses = quality_focal(probabilities.logit(), torch.full((999,), quality), 2.0)
    assert float(probabilities[losses.argmin()]) == pytest.approx(quality, abs=1.1e-3)


def test_the_class_of_an_object_is_trained_towards_the_overlap_all_else_to_0(run):
    batch, output = scenes(), said()
    targets = with_places(batch, output.places[0], 1.5).targets
    loss = CenterSampling().loss(QualityFocal(beta=1.5).loss(None, run), run)
    found = loss(output.output(), batch)
    there = targets.shares > 0
    wanted = torch.zeros_like(output.logits)
    for image, place in there.nonzero().tolist():
        label = int(targets.labels[image, place])
        wanted[image, place, label] = overlap(output.boxes[image, place], targets.boxes[image, place])
    assert wanted.shape[2] == CLASSES and float(wanted.max()) > 0.3
    expected = quality_focal(output.logits, wanted, 1.5).sum((1, 2)) * len(batch) / there.sum()
    assert torch.allclose(found, expected, rtol=1e-5)


def test_boxes_learn_nothing_from_it(run):
    output = said().output().requires_grad_()
    CenterSampling().loss(QualityFocal().loss(None, run), run)(output, scenes()).sum().backward()
    assert bool((output.grad[..., CLASSES:] == 0).all()) and bool((output.grad[..., :CLASSES] != 0).any())


@pytest.mark.parametrize("parts", [2, 4])
def test_pieces_of_a_batch_have_its_loss(run, parts):
    loss = CenterSampling().loss(QualityFocal().loss(None, run), run)
    batch, output = scenes(), said().output()
    cut = torch.cat([loss(part, piece) for piece, part in pieces(batch, output, parts)])
    assert torch.allclose(loss(output, batch), cut, rtol=1e-5)


def test_scores_are_the_probabilities_then(run):
    model = QualityFocal().model(build_detector("fcos:resnet8", CLASSES, 1).eval(), run)
    with torch.no_grad():
        output = Dense.of(model(torch.randn(2, 1, 32, 32)))
    assert torch.equal(output.scores(), output.logits.sigmoid())
    assert not any(name.startswith("center") for name, _ in model.named_parameters())


def test_a_model_without_centerness_is_refused(run):
    with pytest.raises(ModelError, match=r"quality_focal: Sequential has no layer `center`.*Take fcos:NAME"):
        QualityFocal().model(run.model, run)
