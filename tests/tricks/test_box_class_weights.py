import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.box_class_weights import BoxClassWeights, object_weights
from autotricks.tricks.loss.center_sampling import CenterSampling
from autotricks.tricks.loss.dense_focal import DenseFocal
from autotricks.tricks.loss.giou import Giou
from tests.tricks.dense import SIDE, pieces, said, scenes


def test_by_hand():
    # beta = 1/2: weights 1 and 2/3 for 1 and 2 objects, scaled so that 1 * w + 2 * w' = 3.
    assert object_weights(torch.tensor([1.0, 2.0]), 0.5).tolist() == pytest.approx([9 / 7, 6 / 7])


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_the_mean_over_the_objects_is_1(beta):
    counts = torch.tensor([500.0, 50.0, 5.0, 0.0])
    weights = object_weights(counts, beta)
    assert float((counts * weights).sum()) == pytest.approx(555, rel=1e-5) and weights[3] == 0
    assert beta == 0 or (weights[0] < 1 < weights[2] and weights[0] <= weights[1] < weights[2])


def of(run, *tricks):
    loss = DenseFocal().loss(None, run)
    for trick in tricks:
        loss = trick.loss(loss, run)
    return CenterSampling().loss(loss, run)


def one_object(label):
    targets = Targets(torch.tensor([[label]]), torch.ones(1, 1), torch.tensor([[[8.0, 8, 24, 24]]]))
    return Batch(torch.zeros(1, 1, SIDE, SIDE), targets, torch.arange(1))


def test_places_where_nothing_is_count_as_before(run):
    """Of one object the loss is that of everything else, and its weight times its own."""
    output = said(1).output()
    weights = object_weights(run.counts, 0.9)
    halved = Batch(one_object(2).images, one_object(2).targets.weighted(0.5), torch.arange(1), one_object(2))
    plain, half = (float(of(run)(output, batch)) for batch in (one_object(2), halved))
    own = 2 * (plain - half)        # of the object's four places, whose share enters as a factor
    found = float(of(run, BoxClassWeights(beta=0.9))(output, one_object(2)))
    assert float(weights[2]) > 1.2 and own > 0.1
    assert found == pytest.approx(plain + (float(weights[2]) - 1) * own, rel=1e-4)


def test_boxes_are_compared_as_before(run):
    output, batch = said(1).output(), one_object(2)
    gains = [float(of(run, *tricks, Giou())(output, batch) - of(run, *tricks)(output, batch))
             for tricks in ((), (BoxClassWeights(beta=0.9),))]
    assert gains[0] > 0 and gains[0] == pytest.approx(gains[1], rel=1e-4)


@pytest.mark.parametrize("parts", [2, 4])
def test_pieces_of_a_batch_have_its_loss(run, parts):
    batch, output, loss = scenes(), said().output(), of(run, BoxClassWeights())
    cut = torch.cat([loss(part, piece) for piece, part in pieces(batch, output, parts)])
    assert torch.allclose(loss(output, batch), cut, rtol=1e-5)


def test_beta_of_1_is_refused():
    with pytest.raises(BundleError, match=r"box_class_weights\.beta: 1 is not allowed"):
        BoxClassWeights(beta=1)
