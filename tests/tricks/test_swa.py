import io

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.average.swa import Swa, due
from tests.conftest import make_dataset, make_run


def averaged(model, epochs=10, **values):
    """The average of a model in a run of `epochs` epochs of 5 steps each, and what counts its steps."""
    run = make_run(counts=(12, 5, 3), batch_size=4, epochs=epochs)
    run.model = model

    def step(number):
        run.progress = (number - 1) / run.steps
        average.update_parameters(model)
    average = Swa(**values).average(None, run)
    return average, step, run


def line():
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 1, bias=False))


def test_models_are_spread_evenly_and_end_with_the_last():
    assert [step for step in range(1, 101) if due(step, 0.75, 100, 5)] == [80, 85, 90, 95, 100]
    assert [step for step in range(1, 11) if due(step, 0.5, 10, 3)] == [7, 9, 10]
    assert [step for step in range(1, 11) if due(step, 0.7, 10, 20)] == [8, 9, 10]
    assert [step for step in range(1, 11) if due(step, 0.0, 10, 1)] == [10]


@pytest.mark.parametrize("steps", [1, 2, 7, 13, 50, 999])
@pytest.mark.parametrize("begin", [0.0, 0.1, 0.35, 0.75, 0.9])
def test_the_last_model_counts_and_no_more_than_asked_for(steps, begin):
    chosen = [step for step in range(1, steps + 1) if due(step, begin, steps, 10)]
    assert chosen[-1] == steps and len(chosen) <= 10 and min(chosen) > begin * steps
    assert len(chosen) == min(10, steps - int(begin * steps)) or steps * (1 - begin) < 10


def test_the_mean_by_hand():
    model = line()
    average, step, _ = averaged(model, begin=0.6, models=4)  # of 50 steps: 35, 40, 45, 50
    seen = {}
    for number in range(1, 51):
        model[1].weight.data.fill_(float(number))
        step(number)
        seen[number] = average.module[1].weight[0, 0].item()
    assert [seen[number] for number in (5, 30, 34)] == [5, 30, 30]   # the model itself where an epoch ends
    assert [seen[number] for number in (35, 40, 44, 45, 50)] == pytest.approx([35, 37.5, 37.5, 40, 42.5])


def batch_norm(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))


def test_batch_norm_is_that_of_the_training_images_once_a_model_counts():
    model = batch_norm()
    model[0].running_mean.fill_(5.0)
    average, step, run = averaged(model, begin=0.5, models=5)
    step(25)
    assert average.module[0].running_mean.tolist() == [5.0, 5.0]
    for number in range(26, 31):
        step(number)
    images = (run.images.double() / 255 - 0.4) / 0.2
    assert torch.allclose(average.module[0].running_mean.double(), images.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(average.module[0].running_var.double(), images.var((0, 2, 3)), rtol=1e-4)
    assert average.module[0].momentum == 0.1 and model[0].running_mean.tolist() == [5.0, 5.0]


def test_statistics_are_those_behind_averaged_weights():
    """Of x and -x the mean weight is 0, so what comes behind it has no variance; of neither model is that so."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3))
    average, step, _ = averaged(model, begin=0.8, models=2)  # steps 45 and 50
    weight = model[1].weight.detach().clone()
    for number, sign in ((45, 1), (50, -1)):
        model[1].weight.data.copy_(sign * weight)
        step(number)
        if number == 45:
            assert average.module[2].running_var.min() > 0.01
    assert average.module[1].weight.abs().max() < 1e-6 and average.module[2].running_var.max() < 1e-6


def test_statistics_need_no_more_images_than_asked_for():
    model, sizes = batch_norm(), []
    average, step, _ = averaged(model, begin=0.5, models=5, images=7)
    average.module.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    step(25)
    step(30)
    assert sizes == [7]


def test_a_saved_average_goes_on_bit_for_bit():
    states = []
    for broken in (False, True):
        model = batch_norm()
        average, step, run = averaged(model, begin=0.5, models=7)
        for number in range(1, 51):
            with torch.no_grad():
                model[2].weight += 0.1 * number
            if broken and number == 36:
                file = io.BytesIO()
                torch.save((average.state_dict(), run.generator.get_state()), file)
                file.seek(0)
                saved, state = torch.load(file, weights_only=True)
                average, step, run = averaged(model, begin=0.5, models=7)
                average.load_state_dict(saved)
                run.generator.set_state(state)
            step(number)
        states.append(average.state_dict())
    assert states[0]["n_averaged"] == 7
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []


def test_learns_and_goes_on_from_the_model_not_the_mean():
    trainer = prepare(Bundle((Use(Swa(begin=0.5)),), epochs=8, batch_size=16), make_dataset())
    accuracy = [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1]
    assert accuracy > 0.9 and int(trainer.average.n_averaged) == 10
    assert not torch.equal(trainer.average.module.head.weight, trainer.run.model.head.weight)


def test_one_average_at_a_time():
    assert problems([Use(Swa()), Use(Ema())]) == [
        "swa and ema both take average.average for 0-100% of training. Drop one."]


def test_a_mean_of_no_models_is_refused():
    with pytest.raises(BundleError, match=r"swa\.models: 0 is not allowed; models must be >= 1"):
        Swa(models=0)
    with pytest.raises(BundleError, match=r"swa\.begin: 1\.0 is not allowed"):
        Swa(begin=1.0)
