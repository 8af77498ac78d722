import copy
import re

import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError
from autotricks.nn.classifier import features
from autotricks.trial import prepare
from autotricks.tricks.gradients.gradual_unfreezing import GradualUnfreezing, lowest
from autotricks.tricks.gradients.linear_probe import LinearProbe
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.optimizer.adabound import Adabound
from autotricks.tricks.optimizer.adam import Adam
from autotricks.tricks.optimizer.adamw import Adamw
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.parameters.layer_decay import LayerDecay
from tests.conftest import make_dataset, make_run, sampled
from tests.tricks.families import FAMILIES, family

DATA = make_dataset()
PARTS = ["stem", "layers.0", "layers.1", "layers.2", "head"]  # of a ResNet-8; its first norm goes with the stem


def trainer(*tricks, freezing=None, window=Window()):
    uses = (Use(freezing or GradualUnfreezing(), window), Use(Pretrained()), *map(Use, tricks))
    return prepare(Bundle(uses, model="resnet8", epochs=4, batch_size=16), DATA)


def part(name):
    return "stem" if name.startswith("bn.") else next(word for word in PARTS if name.startswith(word))


def moved(made):
    """After each step: which parts of the weights changed in it, and which parts' statistics."""
    seen, ordinary = [], made.step

    def step(rows):
        before = {name: value.clone() for name, value in made.run.model.state_dict().items()}
        loss = ordinary(rows)
        after = made.run.model.state_dict()
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        statistics = {name for name in changed if "running" in name or "tracked" in name}
        seen.append(({part(name) for name in changed - statistics}, {part(name) for name in statistics}))
        return loss

    made.step = step
    list(made.epochs())
    return seen


@pytest.mark.parametrize(("done", "expected"), [
    (-0.01, 3), (0.0, 3), (0.24, 3), (0.25, 2), (0.5, 1), (0.74, 1), (0.75, 0), (0.99, 0), (1.0, 0)])
def test_four_layers_join_in_four_quarters(done, expected):
    assert lowest(done, 4) == expected


def test_each_fifth_of_the_window_trains_one_layer_more():
    seen = moved(trainer(Sgd(lr=0.05, momentum=0.9)))      # 20 steps: four a layer
    for number, (weights, statistics) in enumerate(seen):
        trained = set(PARTS[4 - number // 4:])
        assert weights == trained, number
        assert statistics == trained - {"head"}, number


def test_the_window_says_how_long_it_takes():
    seen = moved(trainer(window=Window(0.0, 0.5)))         # ten steps: two a layer; then all
    assert [len(weights) for weights, _ in seen] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5] + [5] * 10
    seen = moved(trainer(window=Window(0.5, 1.0)))
    assert [len(weights) for weights, _ in seen] == [5] * 10 + [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("optimizer", [Sgd(), Sgd(momentum=0.0), Adam(), Adamw(), Adabound()])
def test_each_optimizer_takes_layers_that_join(optimizer):
    seen = moved(trainer(optimizer, LayerDecay(decay=0.9)))
    assert [len(weights) for weights, _ in seen][::4] == [1, 2, 3, 4, 5]


def test_the_first_momentum_of_a_layer_that_joins_is_its_gradient():
    """v = 0.9 * 0 + g, as for weights that train from the start."""
    made = trainer(Sgd(lr=0.05, momentum=0.9, weight_decay=0.0), freezing=LinearProbe(), window=Window(0.0, 0.25))
    steps = made.epochs()
    next(steps)
    made.enter(made.plan.phases[1])
    made.pipeline.gradients(made.batch(torch.arange(16)))
    gradient, weight = made.run.model.stem.weight.grad.clone(), made.run.model.stem.weight
    made.optimizer.step()
    assert torch.equal(made.optimizer.state[weight]["momentum_buffer"], gradient)


def test_a_probe_trains_the_classifier_alone():
    assert moved(trainer(freezing=LinearProbe())) == [({"head"}, set())] * 20


def test_a_probe_with_an_end_is_followed_by_all():
    seen = moved(trainer(freezing=LinearProbe(), window=Window(0.0, 0.5)))
    assert seen == [({"head"}, set())] * 10 + [(set(PARTS), set(PARTS) - {"head"})] * 10


def test_linear_probing_then_fine_tuning_is_a_regression_on_the_features_and_goes_on_from_its_classifier():
    """Over 0.3 of 20 steps the classifier moves as softmax regression on the features does; then all moves from there.

    Closed form: its gradient is (p - y) f over the batch, f of the model as it was given, in evaluation mode.
    """
    made = trainer(Sgd(lr=0.05, momentum=0.0, weight_decay=0.0), freezing=LinearProbe(), window=Window(0.0, 0.3))
    first = copy.deepcopy(made.run.model).eval()
    head = made.run.model.head
    seen, ordinary = [], made.step

    def step(rows):
        before = {name: value.clone() for name, value in made.run.model.state_dict().items()}
        seen.append((rows, before))
        return ordinary(rows)

    made.step = step
    list(made.epochs())
    weight, bias = first.head.weight.detach().clone(), first.head.bias.detach().clone()
    for rows, before in seen[:6]:
        torch.testing.assert_close([before["head.weight"], before["head.bias"]], [weight, bias], rtol=1e-4, atol=1e-6)
        batch = made.batch(rows)
        with torch.no_grad():
            _, given = features(first, first.head, batch.images)
        errors = (given @ weight.T + bias).softmax(1) - torch.eye(len(bias))[batch.targets.single]
        weight -= 0.05 * errors.T @ given / len(rows)
        bias -= 0.05 * errors.mean(0)
    switch, later = seen[6][1], seen[7][1]
    torch.testing.assert_close([switch["head.weight"], switch["head.bias"]], [weight, bias], rtol=1e-4, atol=1e-6)
    kept = first.state_dict()
    assert all(torch.equal(switch[name], kept[name]) for name in kept if not name.startswith("head."))
    moves = {name for name, _ in made.run.model.named_parameters()} | {name for name in kept if "running" in name}
    assert all(not torch.equal(later[name], switch[name]) for name in moves)
    assert head is made.run.model.head


def test_they_need_weights_and_take_one_seat():
    for freezing in (LinearProbe(), GradualUnfreezing()):
        with pytest.raises(BundleError, match=f"{freezing.name} requires a trick that provides pretrained"):
            prepare(Bundle((Use(freezing),), model="resnet8", epochs=1, batch_size=16), DATA)
    with pytest.raises(BundleError, match=r"both take gradients.freeze for 0-100%"):
        trainer(LinearProbe())


@pytest.mark.parametrize("name", sampled(FAMILIES, *list(FAMILIES)[::2]))
def test_the_blocks_of_timms_models_join_one_by_one_from_the_last_to_the_stem(name):
    _, block, count, stem = FAMILIES[name]
    run = make_run()
    run.model = family(name)
    weights = dict(run.model.named_parameters())
    inside = {weight: re.match(block, weight).group() for weight in weights if re.match(block, weight)}
    blocks = list(dict.fromkeys(inside.values()))
    assert len(blocks) == count
    step = GradualUnfreezing().gradients(lambda batch: None, run)
    for part in range(count + 2):       # the classifier, a block each, the stem
        run.progress = (part + 0.5) / (count + 2)
        step(None)
        states = {word: {weights[weight].requires_grad for weight in inside if inside[weight] == word}
                  for word in blocks}
        assert states == {word: {place + part >= count} for place, word in enumerate(blocks)}, part
        assert {weight.requires_grad for weight in run.model.get_classifier().parameters()} == {True}
        stems = {weight.requires_grad for word, weight in weights.items() if re.match(stem, word)}
        assert stems == {part == count + 1}, part
    assert all(weight.requires_grad for weight in weights.values())
    GradualUnfreezing().leave(run)
