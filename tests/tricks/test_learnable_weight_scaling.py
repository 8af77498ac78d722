import pytest
import torch
import torch.nn.functional as F

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems
from autotricks.trial import prepare
from autotricks.tricks.gradients.learnable_weight_scaling import LearnableWeightScaling, along
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_dataset


def test_along_by_hand():
    gradient, directions = torch.tensor([[1., 2.], [3., 4.]]), torch.tensor([[2., 0.], [1., 1.]])
    assert along(gradient, directions).tolist() == [[4, 0], [7, 7]]


def middle(*tricks, epochs=4):
    uses = (Use(LearnableWeightScaling(), Window(0.5, 1.0)), *map(Use, tricks))
    made = prepare(Bundle(uses, epochs=epochs, batch_size=16), make_dataset())
    steps = made.epochs()
    for _ in range(epochs // 2):
        next(steps)
    return made, steps


def test_it_is_sgd_on_a_factor_for_each_class():
    """Against the paper's own parametrization, with momentum, decay and autograd on f itself."""
    made, _ = middle(Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01))
    made.enter(made.plan.phases[1])
    model = made.run.model
    weight, bias = model.head.weight.detach().clone(), model.head.bias.detach().clone()
    factor = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.SGD([factor], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for rows in torch.arange(80).split(16):
        batch = made.batch(rows)
        with torch.no_grad():
            model.eval()
            features = model.pool(model.forward_features(made.run.normalize(made.run.images[rows]))).flatten(1)
        optimizer.zero_grad()
        logits = F.linear(features, factor.unsqueeze(1) * weight, bias)
        F.cross_entropy(logits, made.run.targets.single[rows]).backward()
        optimizer.step()
        made.run.train()
        made.pipeline.gradients(batch)
        made.optimizer.step()
    assert float((factor.detach() - 1).abs().max()) > 0.01
    assert torch.allclose(model.head.weight, factor.detach().unsqueeze(1) * weight, atol=1e-5)


def test_all_else_stays():
    made, steps = middle()
    before = {name: value.clone() for name, value in made.run.model.state_dict().items()}
    list(steps)
    after = made.run.model.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["head.weight"]
    assert made.run.memory == {}


def test_a_cosine_head_has_no_lengths_to_learn():
    assert any("excludes cosine_head" in line for line in problems([Use(LearnableWeightScaling()), Use(CosineHead())]))


def test_opens_late_unless_told():
    assert Use(LearnableWeightScaling()).window == Window(0.85, 1.0)
    assert "start" not in Use(LearnableWeightScaling()).document()
    assert Use(LearnableWeightScaling(), Window()).document()["start"] == 0
    with pytest.raises(TypeError):
        LearnableWeightScaling(0.5)
