import pytest
import torch
from torch import nn

from autotricks.errors import ModelError
from autotricks.functional.margins import against_others, cosine_scale


def test_a_label_sees_its_own_logit_and_those_of_the_others():
    own = torch.tensor([[2.0, -1.0]])
    others = torch.tensor([[9.0, 1.0, 0.0]])
    found = against_others(own, others, torch.tensor([[0, 2]]))
    first = torch.tensor([2.0, 1.0, 0.0]).softmax(0)[0]      # 9 is not among its others
    second = torch.tensor([9.0, 1.0, -1.0]).softmax(0)[2]
    assert torch.allclose(found, -torch.stack([first, second]).log()[None], rtol=1e-5)


def test_the_scale_is_that_of_the_last_module_that_has_one():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].cosine_scale = 12
    assert cosine_scale(model, "ldam") == 12.0
    with pytest.raises(ModelError, match=r"cosface: no module of Linear has a `cosine_scale`.*Add cosine_head"):
        cosine_scale(model[0], "cosface")
