import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import ModelError
from autotricks.models.dense import Laterals, build_detector
from autotricks.testing import striped_scenes
from autotricks.trial import prepare
from autotricks.tricks.model.feature_pyramid import FeaturePyramid
from tests.conftest import make_run

SIDES = (8, 4, 2)


def maps(width):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, width, side, side, generator=generator) for side in SIDES]


class Head(nn.Module):
    """A model that has nothing but a neck."""

    def __init__(self, *widths, width=3):
        super().__init__()
        self.neck = Laterals(widths, width)


def pyramid(*widths, width=3):
    return FeaturePyramid().model(Head(*widths, width=width), make_run()).neck


def repeat(small, times):
    return small.repeat_interleave(times, 2).repeat_interleave(times, 3)


def unchanging(model):
    """All convolutions give what they get; batch norm, which has seen nothing, too."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.dirac_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
    return model.eval()


def test_each_level_is_the_sum_of_its_own_and_all_deeper_ones():
    fine, middle, coarse = maps(3)
    found = unchanging(pyramid(3, 3, 3))([fine, middle, coarse])
    assert torch.allclose(found[2], coarse)
    assert torch.allclose(found[1], middle + repeat(coarse, 2))
    assert torch.allclose(found[0], fine + repeat(middle, 2) + repeat(coarse, 4))


def test_without_it_each_level_stands_for_itself():
    found = unchanging(Laterals((3, 3, 3), 3))(maps(3))
    assert all(torch.equal(level, given.relu()) for level, given in zip(found, maps(3), strict=True))


def test_the_finest_level_learns_from_the_coarsest():
    """What a change of the coarsest maps does to the finest: nothing without the pyramid."""
    for neck, reached in ((pyramid(4, 6, 8), True), (Laterals((4, 6, 8), 3), False)):
        given = [torch.randn(1, width, side, side, requires_grad=True)
                 for width, side in zip((4, 6, 8), SIDES, strict=True)]
        neck.eval()(given)[0].sum().backward()
        assert (given[2].grad is not None and bool(given[2].grad.any())) == reached


def test_a_detector_with_it_trains_all_of_it():
    bundle = Bundle((Use(FeaturePyramid()),), "fcos:resnet8", epochs=1, batch_size=8)
    trainer = prepare(bundle, striped_scenes(count=16))
    before = {name: value.clone() for name, value in trainer.run.model.named_parameters() if "pyramid" in name}
    trainer.train_epoch()
    after = dict(trainer.run.model.named_parameters())
    assert len(before) == 4 * (3 + 3) and all(not torch.equal(after[name], value) for name, value in before.items())


def test_what_has_no_levels_is_refused():
    model = build_detector("fcos:resnet8", 3, 1)
    model.neck = nn.Identity()
    with pytest.raises(ModelError, match=r"^feature_pyramid: Fcos has no `neck` with the `widths` of its levels\."):
        FeaturePyramid().model(model, make_run())
