import io

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.average.wise_ft import WiseFt
from autotricks.tricks.model.head_init import HeadInit
from autotricks.tricks.model.pretrained import Pretrained
from tests.conftest import make_dataset, make_run

DATA = make_dataset()


def averaged(model, **values):
    """The average of a model in a run of 10 epochs of 5 steps each, and what counts its steps."""
    run = make_run(counts=(12, 5, 3), batch_size=4)
    run.model = model

    def step(number):
        run.progress = (number - 1) / run.steps
        average.update_parameters(model)
    average = WiseFt(**values).average(None, run)
    return average, step, run


def trainer(*tricks, epochs=2):
    uses = tuple(map(Use, (Pretrained(), *tricks)))
    return prepare(Bundle(uses, model="resnet8", epochs=epochs, batch_size=16), DATA)


def test_the_weights_between_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 1))
    nn.init.constant_(model[1].weight, 1.0), nn.init.constant_(model[1].bias, -2.0)
    average, step, _ = averaged(model, alpha=0.25)
    nn.init.constant_(model[1].weight, 5.0), nn.init.constant_(model[1].bias, 2.0)
    seen = []
    for number in range(1, 11):
        if number == 6:
            nn.init.constant_(model[1].weight, 9.0)
        step(number)
        seen.append(average.module[1].weight[0, 0].item())
    assert seen == [1.0] * 4 + [2.0] * 5 + [3.0]    # where an epoch ends, and from the start, not from one another
    assert average.module[1].bias.item() == -1.0 and model[1].weight[0, 0].item() == 9.0


def test_of_a_linear_model_the_logits_are_averaged():
    torch.manual_seed(0)
    first, last = nn.Linear(6, 3), nn.Linear(6, 3)
    images = torch.randn(4, 6)
    start = first(images).detach()
    average, step, _ = averaged(first, alpha=0.3)
    first.load_state_dict(last.state_dict())
    step(5)
    torch.testing.assert_close(average.module(images), 0.7 * start + 0.3 * last(images))


def test_batch_norm_has_the_statistics_behind_the_weights_between():
    """Of x and -x the middle is 0, so what comes behind it has no variance; of neither end is that so."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3))
    average, step, _ = averaged(model, alpha=0.5)
    model[1].weight.data.neg_()
    step(5)
    assert average.module[1].weight.abs().max() < 1e-6 and average.module[2].running_var.max() < 1e-6
    images = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    average, step, run = averaged(images, alpha=0.5)
    step(5)
    given = (run.images.double() / 255 - 0.4) / 0.2
    assert torch.allclose(average.module[0].running_mean.double(), given.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(average.module[0].running_var.double(), given.var((0, 2, 3)), rtol=1e-4)


def test_at_the_end_of_the_line_it_is_plain_training():
    plain, made = trainer(), trainer(WiseFt(alpha=1.0))
    figures = [list(each.epochs())[-1].values for each in (plain, made)]
    assert all(torch.equal(value, made.evaluated.state_dict()[name])
               for name, value in plain.evaluated.state_dict().items())
    assert figures[0]["val/loss"] == figures[1]["val/loss"]


def test_training_goes_on_from_the_model_and_the_middle_is_evaluated():
    plain, made = trainer(HeadInit(), epochs=1), trainer(HeadInit(), WiseFt(), epochs=1)
    start = {name: value.clone() for name, value in made.run.model.named_parameters()}
    for each in (plain, made):
        list(each.epochs())
    for name, value in made.run.model.named_parameters():
        assert torch.equal(value, plain.run.model.get_parameter(name))
        torch.testing.assert_close(made.evaluated.get_parameter(name), (start[name] + value) / 2)


def test_a_saved_average_keeps_its_start():
    torch.manual_seed(1)
    states = []
    for broken in (False, True):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
        average, step, _ = averaged(model, alpha=0.5)
        nn.init.zeros_(model[1].weight)
        if broken:
            file = io.BytesIO()
            torch.save(average.state_dict(), file)
            file.seek(0)
            average, step, _ = averaged(model, alpha=0.5)       # begins where the model is now
            average.load_state_dict(torch.load(file, weights_only=True))
        step(5)
        states.append(average.state_dict())
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    assert states[0]["module.1.weight"].any()


def test_one_average_at_a_time_and_weights_to_begin_with():
    assert problems([Use(Pretrained()), Use(WiseFt()), Use(Ema())]) == [
        "wise_ft and ema both take average.average for 0-100% of training. Drop one."]
    assert problems([Use(WiseFt())]) == ["wise_ft requires a trick that provides pretrained; none is active with it."]


def test_a_share_of_nothing_is_refused():
    with pytest.raises(BundleError, match=r"wise_ft\.alpha: 0 is not allowed; alpha must be > 0 and <= 1"):
        WiseFt(alpha=0)
