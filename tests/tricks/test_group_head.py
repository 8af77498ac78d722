import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle, Use
from autotricks.core.targets import Targets
from autotricks.errors import BundleError, DataError
from autotricks.models import build
from autotricks.nn.classifier import classifier
from autotricks.trainer.step import backward
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.model.bnneck import Bnneck
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.group_head import GroupHead
from tests.conftest import make_batch, make_dataset, make_run

GROUPS = torch.tensor([1, 0, 1, 0])     # of the classes 0 to 3


@pytest.fixture
def hierarchy(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("class,group\n0,plant\n1,animal\n2,plant\n3,animal\n")
    return str(path)


def headed(trick, counts=(4, 3, 2, 1)):
    run = make_run(counts=counts)
    torch.manual_seed(0)
    run.model = trick.model(nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, len(counts))), run)
    return run


def test_the_loss_is_that_of_class_and_group(hierarchy):
    torch.manual_seed(0)
    trick = GroupHead(hierarchy, weight=0.3)
    run, labels = headed(trick), torch.tensor([0, 1, 2, 3, 3])
    head, logits = run.model.group_head, torch.randn(5, 4)
    given = torch.randn(5, 8)
    batch = make_batch(labels)
    batch = Batch(batch.images, batch.targets, batch.rows, features=given)
    loss = trick.loss(CrossEntropy().loss(None, run), run)
    expected = F.cross_entropy(logits, labels, reduction="none") + 0.3 * F.cross_entropy(
        given @ head.weight.T + head.bias, GROUPS[labels], reduction="none")
    assert torch.allclose(loss(logits, batch), expected, atol=1e-6)


def test_a_mixture_of_classes_is_the_same_mixture_of_groups(hierarchy):
    torch.manual_seed(0)
    trick = GroupHead(hierarchy)
    run, given = headed(trick), torch.randn(2, 8)
    plain, shares = make_batch([0, 1]), torch.tensor([[.7, .3], [.4, .6]])
    batch = Batch(plain.images, Targets(torch.tensor([[0, 1], [3, 2]]), shares), plain.rows, features=given)
    found = trick.loss(lambda logits, batch: torch.zeros(2), run)(torch.zeros(2, 4), batch)
    logs = (given @ run.model.group_head.weight.T + run.model.group_head.bias).log_softmax(1)
    expected = torch.stack([-.7 * logs[0, 1] - .3 * logs[0, 0], -.4 * logs[1, 0] - .6 * logs[1, 1]])
    assert torch.allclose(found, expected, atol=1e-6)


def test_its_gradient_reaches_what_is_below_the_classifier_but_not_the_classifier(hierarchy):
    trick = GroupHead(hierarchy)
    run = headed(trick)
    backward(trick.loss(lambda logits, batch: 0 * logits.sum(1), run), run, True)(make_batch([0, 1, 2, 3], classes=4))
    assert run.model[1].weight.grad.abs().sum() > 0 and run.model.group_head.weight.grad.abs().sum() > 0
    assert run.model[3].weight.grad.abs().sum() == 0


def test_predictions_stay_those_of_the_classifier(hierarchy):
    run, images = headed(GroupHead(hierarchy)), torch.randn(3, 2, 4, 4)
    assert torch.equal(run.model(images), run.model[3](run.model[2](run.model[1](images.flatten(1)))))
    assert classifier(run.model, 4) == "3"


def test_learns_both(hierarchy):
    uses = Use(GroupHead(hierarchy)), Use(Ema(0.9)), Use(Bnneck()), Use(CosineHead())
    trainer = prepare(Bundle(uses, epochs=6, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9
    model, split = trainer.evaluated.eval(), trainer.dataset.validation
    features = model.neck(model.pool(model.forward_features(trainer.run.normalize(split.images))).flatten(1))
    said = (features @ model.group_head.weight.T + model.group_head.bias).argmax(1)
    assert (said == GROUPS[split.targets.single]).float().mean() > 0.9


def test_weights_are_used_where_the_file_is_not(hierarchy):
    trained = headed(GroupHead(hierarchy))
    run = make_run(counts=(4, 3, 2, 1))
    run.images = run.images[:0]
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 4))
    model = GroupHead("/nowhere/at/all.csv").model(model, run)
    model.load_state_dict(trained.model.state_dict())
    images = torch.randn(3, 2, 4, 4)
    assert torch.equal(model(images), trained.model(images))
    assert model.group_head.weight.shape == (2, 8) and torch.equal(model.group_head.of_class, GROUPS)


def test_weights_that_are_not_there_are_missed(hierarchy):
    state = {name: value for name, value in headed(GroupHead(hierarchy)).model.state_dict().items()
             if name != "group_head.weight"}
    with pytest.raises(RuntimeError, match=r"Missing key.*group_head\.weight"):
        headed(GroupHead(hierarchy)).model.load_state_dict(state)


def test_weights_are_drawn_from_the_generator_of_the_run(hierarchy):
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        found.append(GroupHead(hierarchy).model(build("resnet8", 4, 2), make_run(counts=(4, 3, 2, 1))).group_head)
    assert torch.equal(found[0].weight, found[1].weight) and torch.equal(found[0].bias, found[1].bias)
    assert found[0].weight.abs().max() <= 1 / 8 and found[0].weight.std() > 0.05


def test_without_a_file_nothing_is_added():
    trick = GroupHead()
    run = headed(trick)
    batch = make_batch([0, 1])
    batch = Batch(batch.images, batch.targets, batch.rows, features=torch.randn(2, 8))
    assert trick.loss(lambda logits, batch: torch.ones(2), run)(torch.zeros(2, 4), batch).tolist() == [1, 1]


def test_a_file_of_other_classes_is_refused(hierarchy):
    with pytest.raises(DataError, match=r"group_head\.hierarchy: .*line 5: there is no class '3'; classes are 0 to 2"):
        headed(GroupHead(hierarchy), counts=(4, 3, 2))
    with pytest.raises(DataError, match="1 of 5 classes have no line: 4"):
        headed(GroupHead(hierarchy), counts=(4, 3, 2, 1, 1))


def test_a_negative_weight_is_refused():
    with pytest.raises(BundleError, match=r"group_head\.weight: -0\.5 is not allowed; weight must be >= 0"):
        GroupHead(weight=-0.5)
