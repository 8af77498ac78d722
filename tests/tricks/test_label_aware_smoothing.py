import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.class_weights import ClassWeights, class_weights
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.label_aware_smoothing import LabelAwareSmoothing, class_epsilons, smoothed
from tests.conftest import make_batch, make_run

COUNTS = torch.tensor([101., 51., 26., 1.])
LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("shape", "middle"), [("concave", math.sqrt(.5)), ("linear", .5),
                                               ("convex", 1 - math.sqrt(.5))])
def test_ends_and_middle_by_hand(shape, middle):
    found = class_epsilons(COUNTS, 0.4, 0.1, shape).tolist()
    assert (found[0], found[3]) == pytest.approx((.4, .1)) and found[1] == pytest.approx(.1 + .3 * middle)


def test_a_quarter_of_the_way_is_the_sine_of_an_eighth_of_a_turn_over_two():
    assert float(class_epsilons(COUNTS, 0.4, 0.1, "concave")[2]) == pytest.approx(.1 + .3 * math.sin(math.pi / 8))


def test_equal_classes_and_empty_ones_have_the_smoothing_of_the_rarest():
    assert class_epsilons(torch.tensor([7., 7.]), 0.4, 0.1, "concave").tolist() == pytest.approx([.1, .1])
    assert class_epsilons(torch.tensor([9., 0., 3.]), 0.4, 0.1, "linear").tolist() == pytest.approx([.4, .1, .1])


def test_a_mixture_gives_of_each_label_its_own_part():
    plain = make_batch([0])
    batch = Batch(plain.images, Targets(torch.tensor([[0, 2]]), torch.tensor([[.6, .4]])), plain.rows)
    found = smoothed(batch, torch.tensor([.3, .2, .15]))
    assert found.targets.labels.tolist() == [[0, 2, 0, 1, 2]] and found.whole is batch
    assert found.targets.shares[0].tolist() == pytest.approx([.42, .34, .08, .08, .08])


def test_equals_torch_with_the_epsilon_of_each_label(run):
    found = LabelAwareSmoothing().loss(CrossEntropy().loss(None, run), run)(LOGITS, make_batch(LABELS))
    for row, label in enumerate(LABELS.tolist()):
        place = (run.counts[label] - 1) / 5
        epsilon = .1 + .3 * math.sin(math.pi / 2 * place)
        expected = F.cross_entropy(LOGITS[row:row + 1], LABELS[row:row + 1], label_smoothing=epsilon)
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-5)


def test_one_epsilon_for_all_is_label_smoothing_also_under_class_weights():
    run = make_run()
    loss = ClassWeights(0.9).loss(CrossEntropy().loss(None, run), run)
    found = LabelAwareSmoothing(0.2, 0.2).loss(loss, run)(LOGITS, make_batch(LABELS)).mean()
    expected = F.cross_entropy(LOGITS, LABELS, weight=class_weights(run.counts, 0.9), label_smoothing=0.2)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_refuses_an_epsilon_of_one_and_an_unknown_shape():
    with pytest.raises(BundleError) as caught:
        LabelAwareSmoothing(head=1.0, shape="square")
    assert len(caught.value.problems) == 2 and "concave or linear or convex" in str(caught.value)
