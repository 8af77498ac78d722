import pytest
import torch
from torch import nn

from autotricks.errors import ModelError
from autotricks.tricks.model.sync_bn import SyncBn
from tests.conftest import built, make_run


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "timm:test_efficientnet", "torchvision:resnet18"])
def test_in_one_process_it_is_batch_norm(name):
    def made(trick):
        torch.manual_seed(0)
        return trick.model(built(name, 5, 3), make_run()) if trick else built(name, 5, 3)
    plain, synchronized, images = made(None), made(SyncBn()), torch.randn(4, 3, 32, 32)
    count = sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in synchronized.modules()) == count > 0
    for mode in (True, False):
        left, right = plain.train(mode)(images), synchronized.train(mode)(images)
        assert torch.allclose(left, right, atol=1e-6)
    assert len(plain.state_dict()) == len(synchronized.state_dict())
    assert all(torch.equal(left, right) for left, right in zip(
        plain.state_dict().values(), synchronized.state_dict().values(), strict=True))


def test_a_model_without_batch_norm_is_one_clear_line():
    with pytest.raises(ModelError, match=r"sync_bn: SqueezeNet has no batch norm.* drop sync_bn\.") as caught:
        SyncBn().model(built("torchvision:squeezenet1_1", 5, 3), make_run())
    assert len(caught.value.problems) == 1
