import pytest
import torch
import torch.nn.functional as F

from autotricks.functional.assignment import with_places
from autotricks.tricks.loss.box_label_smoothing import BoxLabelSmoothing
from autotricks.tricks.loss.center_sampling import CenterSampling
from autotricks.tricks.loss.dense_focal import DenseFocal
from autotricks.tricks.loss.giou import Giou
from tests.tricks.dense import CLASSES, pieces, said, scenes


def smooth(run, epsilon, gamma=2.0, boxes=0.0):
    loss = BoxLabelSmoothing(epsilon).loss(DenseFocal(gamma=gamma, alpha=0.5).loss(None, run), run)
    return CenterSampling().loss(Giou(weight=boxes).loss(loss, run), run)


def test_without_focus_it_is_cross_entropy_against_the_smoothed_target(run):
    batch, output = scenes(), said()
    targets = with_places(batch, output.places[0], 1.5).targets
    there = targets.shares > 0
    wanted = 0.8 * F.one_hot(targets.labels, CLASSES) * there.unsqueeze(2)
    classes = F.binary_cross_entropy_with_logits(output.logits, wanted, reduction="none").sum((1, 2)) / 2    # alpha
    low = output.places[..., :2] - targets.boxes[..., :2]
    high = targets.boxes[..., 2:] - output.places[..., :2]
    middle = (torch.minimum(low, high) / torch.maximum(low, high)).prod(2).clamp(min=0).sqrt().where(there, 0)
    apart = F.binary_cross_entropy_with_logits(output.centerness, middle, reduction="none") * there
    expected = (classes + 0.8 * apart.sum(1)) * len(batch) / there.sum()
    assert torch.allclose(smooth(run, 0.2, gamma=0.0)(output.output(), batch), expected, rtol=1e-4)


def test_epsilon_of_0_changes_nothing_and_boxes_are_compared_as_before(run):
    batch, output = scenes(), said().output()
    plain = CenterSampling().loss(DenseFocal(alpha=0.5).loss(None, run), run)
    assert torch.allclose(smooth(run, 0.0)(output, batch), plain(output, batch))
    with_boxes = [smooth(run, epsilon, boxes=1.0)(output, batch) - smooth(run, epsilon)(output, batch)
                  for epsilon in (0.0, 0.2)]
    assert float(with_boxes[0].sum()) > 0 and torch.allclose(*with_boxes, atol=1e-5)


@pytest.mark.parametrize("parts", [2, 4])
def test_pieces_of_a_batch_have_its_loss(run, parts):
    batch, output, loss = scenes(), said().output(), smooth(run, 0.1, boxes=1.0)
    cut = torch.cat([loss(part, piece) for piece, part in pieces(batch, output, parts)])
    assert torch.allclose(loss(output, batch), cut, rtol=1e-5)
