import math

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import advice, problems
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.focal import Focal
from autotricks.tricks.loss.logit_adjustment import LogitAdjustment
from autotricks.tricks.model.prior_bias import PriorBias, biased
from autotricks.tricks.predict.prior_removal import PriorRemoval
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run
from tests.tricks.clouds import LOG_PRIOR, accuracy, fitted

SHARES = torch.tensor([.6, .3, .1])


def test_biased_in_training_alone():
    model, logits = nn.Identity(), torch.tensor([[1., 2.], [3., 4.]])
    assert biased(torch.tensor([.5, -1.]), model.train(), (logits,), logits).tolist() == [[1.5, 1.], [3.5, 3.]]
    assert biased(torch.tensor([.5, -1.]), model.eval(), (logits,), logits) is logits


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_logits_hold_the_log_shares_while_training(tau):
    run, images = make_run(), torch.randn(5, 2, 4, 4)
    plain = run.model(images).detach()
    model = PriorBias(tau).model(run.model, run)
    assert torch.allclose(model.train()(images), plain + tau * SHARES.log(), atol=1e-6)
    assert torch.equal(model.eval()(images), plain)


def test_a_class_without_images_counts_as_one():
    run = make_run(counts=(6, 3, 0))
    found = PriorBias().model(nn.Sequential(nn.Identity()), run).train()(torch.zeros(1, 3))
    assert found.exp()[0].tolist() == pytest.approx([.6, .3, .1])


def test_the_three_forms_of_logit_adjustment_are_one():
    bias, loss, plain = fitted(PriorBias(), CrossEntropy()), fitted(LogitAdjustment()), fitted(CrossEntropy())
    assert torch.allclose(bias, loss, atol=1e-3)
    assert accuracy(bias) == pytest.approx(accuracy(plain - LOG_PRIOR), abs=0.002)  # the regression has a free bias
    assert accuracy(bias) > accuracy(plain) + 0.05
    assert accuracy(bias + LOG_PRIOR) == pytest.approx(accuracy(plain), abs=0.002)  # left in, it is plain training


def test_goes_with_another_base_loss():
    run, batch, logits = make_run(), make_batch([0, 2]), torch.tensor([[1., 0., -1.], [.5, .5, 0.]])
    model = PriorBias().model(nn.Sequential(nn.Identity()), run).train()
    found = Focal(2.0).loss(None, run)(model(logits), batch)
    expected = []
    for row, label in zip(logits.tolist(), (0, 2), strict=True):
        parts = [math.exp(value) * share for value, share in zip(row, SHARES.tolist(), strict=True)]
        expected.append(-(1 - parts[label] / sum(parts)) ** 2 * math.log(parts[label] / sum(parts)))
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("other", [(), (Ema(),)])
def test_trains_and_is_evaluated_as_with_logit_adjustment(dataset, other):
    def trained(trick):
        trainer = prepare(Bundle((Use(trick), *map(Use, other)), epochs=2, batch_size=16), dataset)
        return trainer.evaluated, list(trainer.epochs())[-1].values
    (ours, after), (theirs, expected) = trained(PriorBias()), trained(LogitAdjustment())
    assert after == pytest.approx(expected, rel=1e-3)
    assert after != pytest.approx(trained(CrossEntropy())[1], rel=1e-3)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_advised_against_where_frequencies_are_corrected_already():
    assert len(advice([Use(PriorBias()), Use(ClassBalanced())])) == 1
    assert len(advice([Use(PriorBias()), Use(LogitAdjustment())])) == 1
    for other in (PriorRemoval(), BalancedSoftmax()):
        assert advice([Use(PriorBias()), Use(other)])
    assert problems([Use(PriorBias(), Window(0.5, 1.0))])


def test_refuses_a_negative_tau():
    with pytest.raises(BundleError, match=r"prior_bias\.tau: -1\.0 is not allowed; tau must be >= 0"):
        PriorBias(-1.0)
