import pytest
import torch
from torch import nn

from autotricks.core.bundle import Use
from autotricks.core.plan import advice
from autotricks.errors import BundleError
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.predict.prior_removal import PriorRemoval, held_prior, without_prior
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_dataset, make_run
from tests.tricks.compared import without_and_with

# p(class | value) = n * p(value | class) / sum, of 90 and 10 images with three values
LIKELIHOOD = torch.tensor([[.6, .2], [.3, .2], [.1, .6]])


def test_takes_the_prior_out_of_a_posterior():
    posterior = LIKELIHOOD * torch.tensor([.9, .1])
    posterior = posterior / posterior.sum(1, keepdim=True)
    assert posterior.argmax(1).tolist() == [0, 0, 0]
    found = without_prior(posterior.log(), torch.tensor([.9, .1]).log(), 1.0)
    assert torch.allclose(found.softmax(1), LIKELIHOOD / LIKELIHOOD.sum(1, keepdim=True))
    assert found.argmax(1).tolist() == [0, 0, 1]


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_prediction_is_that_of_the_model_less_the_log_shares(tau):
    trick, run, images = PriorRemoval(tau), make_run(), torch.randn(5, 2, 4, 4)
    plain = run.model(images).detach()
    run.model = trick.model(run.model, run)
    found = trick.predict(run.model, run)(images)
    assert torch.allclose(found, plain - tau * torch.tensor([.6, .3, .1]).log(), atol=1e-6)


def test_a_class_without_images_counts_as_one():
    run = make_run(counts=(6, 3, 0))
    assert held_prior(PriorRemoval().model(run.model, run)).exp().tolist() == pytest.approx([.6, .3, .1])


def test_the_shares_travel_with_the_weights_to_where_no_class_is_counted():
    run, blank = make_run(), make_run(seed=1)
    trained = PriorRemoval().model(run.model, run)
    blank.counts = torch.zeros(3)
    model = PriorRemoval().model(blank.model, blank)
    model.load_state_dict(trained.state_dict())
    images = torch.randn(5, 2, 4, 4)
    expected = PriorRemoval().predict(trained, run)(images)
    assert torch.equal(PriorRemoval().predict(model, blank)(images), expected)
    assert not torch.allclose(expected, trained(images))


def test_found_inside_what_is_put_around_the_model():
    run = make_run()
    around = nn.Sequential(PriorRemoval().model(run.model, run))
    assert torch.allclose(PriorRemoval().predict(around, run)(torch.zeros(1, 2, 4, 4)),
                          run.model(torch.zeros(1, 2, 4, 4)) - torch.tensor([.6, .3, .1]).log())


@pytest.mark.parametrize("other", [(), (Ema(),), (CosineHead(),)])
def test_trains_as_without_it_and_is_evaluated_with_it(other):
    data = make_dataset()
    (plain, before), (ours, after) = without_and_with(PriorRemoval(), other, data)
    weights = dict(plain.evaluated.named_parameters())
    assert all(torch.equal(weights[name], weight) for name, weight in ours.evaluated.named_parameters())
    assert before["train/loss"] == after["train/loss"] and before["val/loss"] != after["val/loss"]
    with torch.inference_mode():
        logits = plain.evaluated.eval()(plain.run.normalize(data.validation.images))
    log_prior = (data.counts / data.counts.sum()).log()
    hits = (logits - log_prior).argmax(1) == data.validation.targets.single
    assert after["val/accuracy"] == pytest.approx(float(hits.float().mean()), abs=1e-6)


def test_advised_against_where_the_prior_is_removed_or_changed_already():
    for other in (BalancedSoftmax(), ClassBalanced(), ClassWeights()):
        assert len(advice([Use(PriorRemoval()), Use(other)])) == 1


def test_refuses_a_negative_tau():
    with pytest.raises(BundleError, match=r"prior_removal\.tau: -1\.0 is not allowed; tau must be >= 0"):
        PriorRemoval(-1.0)
