import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.gradients.classifier_retraining import ClassifierRetraining
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_dataset

DATA = make_dataset()


def trainer(*tricks, epochs=4, seed=0, norms="fixed"):
    """Two epochs of everything, then two of the classifier."""
    uses = (Use(ClassifierRetraining(norms), Window(0.5, 1.0)), *map(Use, tricks))
    return prepare(Bundle(uses, epochs=epochs, batch_size=16, seed=seed), DATA)


def state(trainer):
    return {name: value.clone() for name, value in trainer.evaluated.state_dict().items()}


def halves(made):
    """The state in the middle and at the end."""
    steps = made.epochs()
    next(steps), next(steps)
    middle = state(made)
    list(steps)
    return middle, state(made)


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_classifier_alone_changes():
    assert changed(*halves(trainer(Sgd(momentum=0.9, weight_decay=0.1)))) == {"head.weight", "head.bias"}


def test_statistics_move_where_asked():
    moved = changed(*halves(trainer(norms="moving")))
    assert "bn.running_mean" in moved and "stem.weight" not in moved and "bn.weight" not in moved


def test_the_classifier_begins_anew_within_its_bound_without_momentum():
    made = trainer(Sgd(momentum=0.9))
    steps = made.epochs()
    next(steps), next(steps)
    before = made.run.model.head.weight.clone()
    made.enter(made.plan.phases[1])
    after = made.run.model.head.weight
    assert float(after.detach().abs().max()) <= 1 / 8 < float(before.detach().abs().max())
    assert after.std().item() == pytest.approx(1 / 8 / 3 ** 0.5, rel=0.1)  # of a uniform distribution
    assert after not in made.optimizer.state and made.run.model.stem.weight in made.optimizer.state


def test_an_average_begins_anew_with_it():
    made = trainer(Ema(decay=0.999))
    steps = made.epochs()
    next(steps), next(steps)
    made.enter(made.plan.phases[1])
    assert torch.equal(made.evaluated.head.weight, made.run.model.head.weight)


def test_everything_trains_again_after_it():
    uses = (Use(ClassifierRetraining(), Window(0.25, 0.5)),)
    made = prepare(Bundle(uses, epochs=4, batch_size=16), DATA)
    steps = made.epochs()
    next(steps), next(steps)
    assert not made.run.model.stem.weight.requires_grad
    middle = state(made)
    next(steps)
    assert made.run.model.stem.weight.requires_grad and "stem.weight" in changed(middle, state(made))


def test_by_hand_it_is_logistic_regression_on_fixed_features():
    made = trainer(Sgd(lr=0.5), epochs=2)
    steps = made.epochs()
    next(steps)
    made.enter(made.plan.phases[1])
    rows = torch.arange(16)
    batch = made.batch(rows)
    model = made.run.model.eval()
    with torch.no_grad():
        images = made.run.normalize(DATA.train.images[rows])
        features = model.pool(model.forward_features(images)).flatten(1)
        excess = model.head(features).softmax(1) - torch.nn.functional.one_hot(made.run.targets.single[rows], 4)
    torch.testing.assert_close(batch.images, features)      # which are computed once
    made.pipeline.gradients(batch)
    assert torch.allclose(model.head.weight.grad, excess.T @ features / 16, atol=1e-6)
    assert torch.allclose(model.head.bias.grad, excess.mean(0), atol=1e-6)
    assert model.stem.weight.grad is None


def test_refuses_another_word():
    with pytest.raises(BundleError, match=r"norms: 'frozen' is not allowed; norms must be fixed or moving"):
        ClassifierRetraining("frozen")
