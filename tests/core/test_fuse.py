import pytest
import torch
from torch import nn

from autotricks.nn.fusing import Fusible, fuse


class Twice(Fusible):
    """Adds a linear layer to itself."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, images):
        return self.layer(images) + self.layer(images)

    def fused(self):
        plain = nn.Linear(2, 2)
        plain.load_state_dict({name: 2 * value for name, value in self.layer.state_dict().items()})
        return plain


def test_every_fusible_becomes_plain_in_a_copy_in_evaluation_mode():
    model = nn.Sequential(Twice(), nn.Sequential(nn.ReLU(), Twice()), nn.Dropout()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plain = fuse(model)
    assert [type(module).__name__ for module in plain.modules()] == [
        "Sequential", "Linear", "Sequential", "ReLU", "Linear", "Dropout"]
    assert not any(module.training for module in plain.modules())
    images = torch.randn(5, 2)
    assert torch.allclose(plain(images), model.eval()(images), atol=1e-6)
    assert isinstance(model[0], Twice) and all(torch.equal(value, before[name])
                                               for name, value in model.state_dict().items())
    with torch.no_grad():
        plain[0].weight += 1
    assert torch.equal(model[0].layer.weight, before["0.layer.weight"])


def test_a_fusible_itself_and_a_model_without_any():
    images = torch.randn(3, 2)
    one, none = Twice().eval(), nn.Linear(2, 2).eval()
    assert isinstance(fuse(one), nn.Linear) and torch.allclose(fuse(one)(images), one(images), atol=1e-6)
    assert torch.equal(fuse(none)(images), none(images)) and fuse(none) is not none


def test_what_cannot_be_fused_is_no_fusible():
    class Half(Fusible):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()
