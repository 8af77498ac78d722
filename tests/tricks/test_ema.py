import io

import pytest
import torch
from torch import nn

from autotricks.errors import BundleError
from autotricks.tricks.average.ema import Ema, kept, move
from tests.conftest import make_run


def averaged(model, decay=0.999):
    run = make_run()
    run.model = model
    return Ema(decay=decay).average(None, run)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))


def disturb(model, seed):
    """Change weights, and let batch norm see a batch."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator))
    model(torch.randn(3, 1, 4, 4, generator=generator))


def test_few_models_are_averaged_over_a_short_time():
    assert [kept(count, 0.999) for count in (0, 1, 8, 10_000)] == pytest.approx([0.0, 2 / 11, 0.5, 0.999])
    assert kept(8, 0.4) == 0.4


def test_each_average_moves_by_the_rest_and_whole_numbers_are_copied():
    averages = [torch.tensor([1.0, 2.0]), torch.tensor(3), torch.tensor([4.0])]
    move(averages, [torch.tensor([5.0, 2.0]), torch.tensor(9), torch.tensor([0.0])], 0.75)
    assert [average.tolist() for average in averages] == [[2.0, 2.0], 9, [3.0]]
    assert averages[1].dtype == torch.int64


def test_three_models_by_hand():
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model)
    for value in (1.0, 12.0, 6.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
    # 1 whole; then 2/11 * 1 + 9/11 * 12 = 10; then 3/12 * 10 + 9/12 * 6 = 7
    assert average.module.weight.item() == pytest.approx(7.0)


def test_statistics_are_averaged_and_batches_counted():
    model = network()
    average, means = averaged(model), []
    for seed in range(2):
        disturb(model, seed)
        means.append(model[1].running_mean.clone())
        average.update_parameters(model)
    assert torch.allclose(average.module[1].running_mean, means[0] * 2 / 11 + means[1] * 9 / 11)
    assert average.module[1].num_batches_tracked == 2


def test_a_model_that_stands_still_is_its_own_average():
    model = network()
    average = averaged(model)
    for _ in range(5):
        average.update_parameters(model)
    for name, value in model.state_dict().items():
        assert torch.equal(average.module.state_dict()[name], value), name


def test_a_saved_average_goes_on_bit_for_bit():
    model, other = network(), network(seed=1)
    whole, half = averaged(model), averaged(model)
    for seed in range(3):
        disturb(model, seed)
        whole.update_parameters(model)
        half.update_parameters(model)
    file = io.BytesIO()
    torch.save(half.state_dict(), file)
    file.seek(0)
    resumed = averaged(other)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in range(3, 6):
        disturb(model, seed)
        whole.update_parameters(model)
        resumed.update_parameters(model)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert whole.n_averaged == 6


def test_the_model_itself_is_not_touched():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    average = averaged(model)
    average.update_parameters(model)
    with torch.no_grad():
        average.module[3].weight.zero_()
    for name, value in model.state_dict().items():
        assert torch.equal(before[name], value), name


def test_the_device_is_not_waited_for():
    # A tensor on the meta device has no value: reading one would raise.
    with torch.device("meta"):
        model = network()
    average = averaged(model)
    for _ in range(3):
        average.update_parameters(model)
    assert average.module[3].weight.device.type == "meta" and average.n_averaged == 3


def test_a_decay_of_one_is_refused():
    with pytest.raises(BundleError, match=r"ema\.decay: 1\.0 is not allowed"):
        Ema(decay=1.0)
